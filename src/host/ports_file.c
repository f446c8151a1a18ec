/* The file that tells scripts which ports were bound: a line `NAME ADDRESS` each, there all at once or not at all. */
#include "host/ports_file.h"

#include <stdlib.h>
#include <unistd.h>

void ports_file_begin(struct ports_file *ports, const char *path)
{
    *ports = (struct ports_file){.path = path};
    if (path != NULL && asprintf(&ports->temporary, "%s.new", path) < 0)
        ports->temporary = NULL;
    if (ports->temporary != NULL)
        ports->stream = fopen(ports->temporary, "we");
}

void ports_file_add(struct ports_file *ports, const char *name, const struct endpoint *address)
{
    char text[ENDPOINT_TEXT_MAX];
    if (ports->stream != NULL)
        fprintf(ports->stream, "%s %s\n", name, endpoint_text(address, text));
}

void ports_file_add_unix(struct ports_file *ports, const char *name, const char *path)
{
    if (ports->stream != NULL)
        fprintf(ports->stream, "%s unix:%s\n", name, path);
}

bool ports_file_end(struct ports_file *ports)
{
    bool ok = ports->path == NULL;
    if (ports->stream != NULL) {
        ok = !ferror(ports->stream);
        ok = fclose(ports->stream) == 0 && ok;
        ok = ok && rename(ports->temporary, ports->path) == 0;
        if (!ok)
            unlink(ports->temporary);
    }
    free(ports->temporary);
    return ok;
}
