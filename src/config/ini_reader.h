/* An INI file's bytes into sections, keys and values with their lines (inih, behind a line reader that knows its traps). */
#ifndef EXEAT_CONFIG_INI_READER_H
#define EXEAT_CONFIG_INI_READER_H

#include <stdbool.h>
#include <stddef.h>

#define INI_NAME_MAX 48 /* of a key, or of what stands between brackets: inih cuts at 49 */
#define INI_LINE_MAX (1 << 20)

/* What one line says. The strings live until the call returns. */
struct ini_item {
    unsigned line;
    const char *section; /* what stands between the brackets: letters, digits, `.` `_` `-`, and blanks inside */
    const char *key;     /* NULL: the section begins here */
    const char *value;   /* without its comment and outer blanks, "" when nothing is left */
    bool continued;      /* an indented line, which goes on with the key above it */
};

struct ini_events {
    void *arg;
    bool (*item)(void *arg, const struct ini_item *item); /* false: out of memory */
    void (*fault)(void *arg, unsigned line, const char *what);
};

/* Reads the whole file, whatever is wrong in it, and says so line by line; what stands behind a broken section header is skipped up to the next one,
 * since nobody knows where it belongs. True when nothing was wrong: else nothing of the file may be used. */
bool ini_read(const char *bytes, size_t len, const struct ini_events *events);

#endif
