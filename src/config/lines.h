/* The lines of a list in a file, without `#` comments, outer blanks and line ends. */
#ifndef EXEAT_CONFIG_LINES_H
#define EXEAT_CONFIG_LINES_H

#include <stdbool.h>
#include <stddef.h>

#define LINES_TEXT_MAX 4096

struct lines {
    const char *at, *end;
    unsigned line; /* of the text below, from 1 */
    bool cut;      /* it did not fit */
    size_t len;
    char text[LINES_TEXT_MAX + 1]; /* with a NUL behind it; one inside is the file's */
};

/* The bytes stay the caller's and must outlive the walk. */
void lines_init(struct lines *lines, const char *bytes, size_t len);

/* The next line that holds something, or false at the end. */
bool lines_next(struct lines *lines);

#endif
