/* The file that tells scripts which ports were bound: a line `NAME ADDRESS` each, there all at once or not at all. */
#ifndef EXEAT_HOST_PORTS_FILE_H
#define EXEAT_HOST_PORTS_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/address.h"

struct ports_file {
    const char *path; /* NULL: nothing is written */
    char *temporary;
    FILE *stream;
};

void ports_file_begin(struct ports_file *ports, const char *path);
void ports_file_add(struct ports_file *ports, const char *name, const struct endpoint *address);
void ports_file_add_unix(struct ports_file *ports, const char *name, const char *path);
/* Renames it into place. False with errno when anything went wrong; true when there was nothing to write. */
bool ports_file_end(struct ports_file *ports);

#endif
