/* Paths as a configuration names them. */
#include "config/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/array.h"

bool path_list_add(struct path_list *list, char *path)
{
    char **paths = path ? array_room(list->paths, list->count, sizeof(*paths)) : NULL;
    if (paths == NULL) {
        free(path);
        return false;
    }
    list->paths = paths;
    paths[list->count++] = path;
    return true;
}

static int path_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void path_list_sort(struct path_list *list)
{
    if (list->count > 1)
        qsort(list->paths, list->count, sizeof(*list->paths), path_compare);
}

void path_list_fini(struct path_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->paths[i]);
    free(list->paths);
    *list = (struct path_list){0};
}

char *path_beside(const char *file, const char *name)
{
    const char *slash = strrchr(file, '/');
    if (name[0] == '/' || slash == NULL)
        return strdup(name);
    char *path = NULL;
    int len = asprintf(&path, "%.*s/%s", (int)(slash - file), file, name);
    return len < 0 ? NULL : path;
}
