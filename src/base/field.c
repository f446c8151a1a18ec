/* The fields of a line of text, between single separators. */
#include "base/field.h"

#include <string.h>

bool field_split(struct field *fields, size_t count, const char *line, size_t len, char separator)
{
    const char *const end = line + len;
    for (size_t i = 0; i < count; i++) {
        const char *next = memchr(line, separator, (size_t)(end - line));
        const bool last = i + 1 == count;
        if ((next == NULL) != last)
            return false;
        fields[i] = (struct field){line, (size_t)((last ? end : next) - line)};
        line = last ? end : next + 1;
    }
    return memchr(fields[0].at, '\0', len) == NULL;
}

bool field_is(const struct field *field, const char *word)
{
    return field->len == strlen(word) && memcmp(field->at, word, field->len) == 0;
}
