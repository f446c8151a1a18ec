/* Paths as a configuration names them. */
#ifndef EXEAT_CONFIG_PATH_H
#define EXEAT_CONFIG_PATH_H

#include <stdbool.h>
#include <stddef.h>

struct path_list {
    char **paths;
    size_t count;
};

/* Takes a malloc'd path, also when it fails; NULL is a path for which there was no memory. */
bool path_list_add(struct path_list *list, char *path);
/* In byte order, whatever the locale. */
void path_list_sort(struct path_list *list);
void path_list_fini(struct path_list *list);

/* `name` as seen from the file that names it: absolute as it is, else beside that file. Malloc'd; NULL: out of memory. */
char *path_beside(const char *file, const char *name);

#endif
