/* An INI file's bytes into sections, keys and values with their lines (inih, behind a line reader that knows its traps). */
#include "config/ini_reader.h"

#include <ini.h>
#include <stdlib.h>
#include <string.h>

/* inih has lines of 199 characters. A longer value goes to it in pieces, as continuation lines of its own; this byte, which no file may hold,
 * stands at both sides of each cut: it says that the pieces belong together and keeps the blanks there from being trimmed. */
#define INI_GLUE '\001'
/* A key that no file can hold: inih has no word for a section that begins, so one is announced by this. */
#define INI_MARK "\002"

enum ini_place { INI_NOWHERE = 0, INI_LOST, INI_INSIDE };       /* before any section, behind a broken header, in a section */
enum ini_key { INI_KEY_NONE = 0, INI_KEY_LOST, INI_KEY_GIVEN }; /* what an indented line would go on with; a lost one was at fault itself */

struct ini_source {
    const struct ini_events *events;
    const char *at, *end;
    unsigned line;
    enum ini_place place;
    bool announce; /* the section that was just handed over is to be marked */
    enum ini_key key;
    bool continued;   /* the line in hand is an indented one */
    const char *rest; /* what of its value is still to be handed over */
    size_t rest_len;
    char *value; /* what inih has given back of it */
    size_t value_len;
    bool failed;
};

/* A part of the file's bytes. */
struct ini_span {
    const char *at;
    size_t len;
};

static void ini_fault(struct ini_source *source, const char *what)
{
    source->failed = true;
    source->events->fault(source->events->arg, source->line, what);
}

static bool ini_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct ini_span ini_trim(struct ini_span span)
{
    while (span.len > 0 && ini_is_blank(span.at[0])) {
        span.at++;
        span.len--;
    }
    while (span.len > 0 && ini_is_blank(span.at[span.len - 1]))
        span.len--;
    return span;
}

/* Without its comment: `;` and `#` begin one at the start of the line or behind a blank. */
static struct ini_span ini_uncomment(struct ini_span span)
{
    for (size_t i = 0; i < span.len; i++) {
        if ((span.at[i] == ';' || span.at[i] == '#') && (i == 0 || ini_is_blank(span.at[i - 1])))
            span.len = i;
    }
    return span;
}

/* Comments may be in any language; what hides text from inih, or from a reader of the file, is refused even there. */
static const char *ini_check_bytes(struct ini_span span)
{
    if (span.len > INI_LINE_MAX)
        return "a line of more than 1 MiB; allowed: a list may go on in indented lines";
    for (size_t i = 0; i < span.len; i++) {
        unsigned char c = (unsigned char)span.at[i];
        if (c == '\0')
            return "a NUL byte; allowed: text";
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return "a control character; allowed: text";
    }
    return NULL;
}

/* The next line without its end. */
static bool ini_next_line(struct ini_source *source, struct ini_span *line)
{
    if (source->at == source->end)
        return false;
    const char *newline = memchr(source->at, '\n', (size_t)(source->end - source->at));
    const char *end = newline ? newline : source->end;
    *line = (struct ini_span){source->at, (size_t)(end - source->at)};
    if (line->len > 0 && line->at[line->len - 1] == '\r')
        line->len--;
    source->at = newline ? newline + 1 : source->end;
    source->line++;
    return true;
}

static bool ini_is_name(struct ini_span span, const char *also)
{
    if (span.len == 0 || span.len > INI_NAME_MAX)
        return false;
    for (size_t i = 0; i < span.len; i++) {
        char c = span.at[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (c == '\0' || strchr(also, c) == NULL))
            return false;
    }
    return true;
}

static const char *ini_check_header(struct ini_span line, bool indented)
{
    if (indented)
        return "an indented line goes on with the key above it; a section begins at the start of a line";
    const char *bracket = memchr(line.at, ']', line.len);
    if (bracket == NULL)
        return "a section without its ]; allowed: [KIND] or [KIND NAME]";
    if (bracket != line.at + line.len - 1)
        return "something stands behind the ] of a section; allowed: a comment";
    struct ini_span inside = ini_trim((struct ini_span){line.at + 1, line.len - 2});
    if (inside.len == 0)
        return "a section without a name; allowed: [KIND] or [KIND NAME]";
    if (!ini_is_name(inside, "._- \t"))
        return "not a section; allowed: [KIND] or [KIND NAME] with a NAME of 1 to 40 of a-z A-Z 0-9 . _ -";
    return NULL;
}

/* A header goes to inih by itself. */
static bool ini_take_header(struct ini_source *source, struct ini_span line, bool indented, char *out)
{
    const char *fault = ini_check_header(line, indented);
    source->key = INI_KEY_NONE;
    source->place = fault ? INI_LOST : INI_INSIDE;
    if (fault != NULL) {
        ini_fault(source, fault);
        return false;
    }
    struct ini_span inside = ini_trim((struct ini_span){line.at + 1, line.len - 2});
    *out++ = '[';
    memcpy(out, inside.at, inside.len);
    memcpy(out + inside.len, "]\n", 3);
    source->announce = true;
    return true;
}

/* Puts the next piece of the value behind what `out` holds already. */
static void ini_put_piece(struct ini_source *source, char *out, size_t room)
{
    bool cut = source->rest_len > room - 3;
    size_t len = cut ? room - 3 : source->rest_len;
    memcpy(out, source->rest, len);
    out += len;
    if (cut)
        *out++ = INI_GLUE;
    memcpy(out, "\n", 2);
    source->rest = cut ? source->rest + len : NULL;
    source->rest_len -= len;
}

static bool ini_take_continuation(struct ini_source *source, struct ini_span line, char *out, size_t room)
{
    if (source->key == INI_KEY_LOST)
        return false;
    if (source->key == INI_KEY_NONE) {
        ini_fault(source, "an indented line goes on with the key above it, and there is none; keys begin at the start of a line");
        return false;
    }
    source->continued = true;
    source->rest = line.at;
    source->rest_len = line.len;
    out[0] = ' ';
    ini_put_piece(source, out + 1, room - 1);
    return true;
}

static const char *ini_check_key(const struct ini_source *source, struct ini_span line, const char *equals)
{
    if (equals == NULL)
        return "a key without its =; allowed: KEY = VALUE";
    if (!ini_is_name(ini_trim((struct ini_span){line.at, (size_t)(equals - line.at)}), "_-"))
        return "not a key; allowed: KEY = VALUE";
    if (source->place == INI_NOWHERE)
        return "a key before any section; allowed: below a [SECTION]";
    return NULL;
}

static bool ini_take_key(struct ini_source *source, struct ini_span line, char *out, size_t room)
{
    const char *equals = memchr(line.at, '=', line.len);
    const char *fault = ini_check_key(source, line, equals);
    source->key = fault ? INI_KEY_LOST : INI_KEY_GIVEN;
    if (fault != NULL) {
        ini_fault(source, fault);
        return false;
    }
    struct ini_span key = ini_trim((struct ini_span){line.at, (size_t)(equals - line.at)});
    struct ini_span value = ini_trim((struct ini_span){equals + 1, (size_t)(line.at + line.len - equals - 1)});
    source->continued = false;
    source->rest = value.at;
    source->rest_len = value.len;
    memcpy(out, key.at, key.len);
    out[key.len] = '=';
    ini_put_piece(source, out + key.len + 1, room - key.len - 1);
    return true;
}

/* Whether the line gave something to inih. */
static bool ini_take_line(struct ini_source *source, struct ini_span line, char *out, size_t room)
{
    const char *fault = ini_check_bytes(line);
    if (fault != NULL) {
        ini_fault(source, fault);
        return false;
    }
    bool indented = line.len > 0 && ini_is_blank(line.at[0]);
    line = ini_trim(ini_uncomment(line));
    if (line.len == 0)
        return false;
    if (line.at[0] == '[' && (!indented || line.at[line.len - 1] == ']'))
        return ini_take_header(source, line, indented, out);
    if (source->place == INI_LOST)
        return false;
    return indented ? ini_take_continuation(source, line, out, room) : ini_take_key(source, line, out, room);
}

/* What inih calls for its next line, in place of fgets(3). */
static char *ini_reader_next(char *out, int room, void *stream)
{
    struct ini_source *source = stream;
    struct ini_span line;
    if (source->announce) {
        source->announce = false;
        return strcpy(out, INI_MARK "=\n");
    }
    if (source->rest != NULL) {
        out[0] = ' ';
        out[1] = INI_GLUE;
        ini_put_piece(source, out + 2, (size_t)room - 2);
        return out;
    }
    while (ini_next_line(source, &line)) {
        if (ini_take_line(source, line, out, (size_t)room))
            return out;
    }
    return NULL;
}

static bool ini_give(struct ini_source *source, const char *section, const char *key, const char *value)
{
    struct ini_item item = {.line = source->line, .section = section, .key = key, .value = value, .continued = key && source->continued};
    return source->events->item(source->events->arg, &item);
}

/* What inih says of each line it was given: pieces are put together here. */
static int ini_handle(void *user, const char *section, const char *key, const char *value)
{
    struct ini_source *source = user;
    size_t len = strlen(value);
    if (strcmp(key, INI_MARK) == 0)
        return ini_give(source, section, NULL, "");
    if (value[0] == INI_GLUE) {
        value++;
        len--;
    } else {
        source->value_len = 0;
    }
    bool more = len > 0 && value[len - 1] == INI_GLUE;
    len -= more;
    char *joined = realloc(source->value, source->value_len + len + 1);
    if (joined == NULL)
        return 0;
    source->value = joined;
    memcpy(joined + source->value_len, value, len);
    source->value_len += len;
    joined[source->value_len] = '\0';
    return more || ini_give(source, section, key, joined);
}

bool ini_read(const char *bytes, size_t len, const struct ini_events *events)
{
    struct ini_source source = {.events = events, .at = bytes, .end = bytes + len};
    if (len >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0)
        source.at += 3;
    if (ini_parse_stream(ini_reader_next, &source, ini_handle, &source) != 0)
        ini_fault(&source, "the file could not be read to its end: out of memory");
    free(source.value);
    return !source.failed;
}
