/* Every section of the configuration's files in the order in which they are read, before anything in it means something. */
#ifndef EXEAT_CONFIG_DOCUMENT_H
#define EXEAT_CONFIG_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "config/bundle.h"
#include "config/fault.h"
#include "config/path.h"

#define SECTION_NAME_MAX 40
#define PLACE_TEXT_MAX 4200 /* a path, a colon, a line */

/* One line below a section. */
struct entry {
    char *key;
    char *value;
    unsigned line;
    bool continued;
};

struct section {
    const char *file; /* the document's */
    unsigned line;
    char *title; /* `rule agents`: what stands between the brackets */
    char *kind;  /* `rule` */
    char *name;  /* `agents`, "" where there is none */
    struct entry *entries;
    size_t count;
};

struct document {
    struct path_list files;
    struct section *sections;
    size_t count;
};

/* Reads the file and what its [exeat] includes. Faults of syntax, of reading and of including are added; what could be read is in the document. */
void document_read(struct document *document, struct bundle *bundle, const char *path, struct fault_list *faults);
void document_fini(struct document *document);

/* `FILE:LINE`, returns `buf`. */
const char *place_text(const char *file, unsigned line, char buf[PLACE_TEXT_MAX]);

#endif
