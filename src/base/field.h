/* The fields of a line of text, between single separators. */
#ifndef EXEAT_BASE_FIELD_H
#define EXEAT_BASE_FIELD_H

#include <stdbool.h>
#include <stddef.h>

struct field {
    const char *at; /* no NUL behind it; it may be empty */
    size_t len;
};

/* Takes the line apart. False: it has more or fewer than `count`, at least one, or a NUL in it. */
bool field_split(struct field *fields, size_t count, const char *line, size_t len, char separator);

/* Whether it is that word. */
bool field_is(const struct field *field, const char *word);

#endif
