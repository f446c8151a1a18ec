/* The host lists that are compiled in, looked up by name. */
#include "config/hosts_builtin.h"

#include <string.h>

const struct embedded_file *hosts_builtin_find(const char *name)
{
    for (const struct embedded_file *file = HOSTS_BUILTIN; file->name != NULL; file++) {
        if (strcmp(file->name, name) == 0)
            return file;
    }
    return NULL;
}
