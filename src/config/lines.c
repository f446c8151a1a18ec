/* The lines of a list in a file, without `#` comments, outer blanks and line ends. */
#include "config/lines.h"

#include <string.h>

void lines_init(struct lines *lines, const char *bytes, size_t len)
{
    lines->at = bytes;
    lines->end = bytes + len;
    lines->line = 0;
    lines->cut = false;
    lines->len = 0;
    if (len >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0)
        lines->at += 3;
}

static bool lines_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Where the comment begins: at the start of the line or behind a blank. */
static const char *lines_uncomment(const char *at, const char *end)
{
    for (const char *c = at; (c = memchr(c, '#', (size_t)(end - c))) != NULL; c++) {
        if (c == at || lines_is_blank(c[-1]))
            return c;
    }
    return end;
}

static void lines_take(struct lines *lines, const char *at, const char *end)
{
    end = lines_uncomment(at, end);
    while (at < end && lines_is_blank(*at))
        at++;
    while (at < end && lines_is_blank(end[-1]))
        end--;
    lines->len = (size_t)(end - at);
    lines->cut = lines->len > LINES_TEXT_MAX;
    if (lines->cut)
        lines->len = LINES_TEXT_MAX;
    memcpy(lines->text, at, lines->len);
    lines->text[lines->len] = '\0';
}

bool lines_next(struct lines *lines)
{
    while (lines->at < lines->end) {
        const char *newline = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
        const char *end = newline ? newline : lines->end;
        const char *at = lines->at;
        lines->at = newline ? newline + 1 : lines->end;
        lines->line++;
        lines_take(lines, at, end);
        if (lines->len > 0)
            return true;
    }
    return false;
}
