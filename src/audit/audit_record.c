/* One audit record read back from its line, key by key: as strict as the one writer (audit/record) is regular, and no reader of other JSON. */
#include "audit/audit_record.h"

#include <string.h>

#include "audit/chain.h"
#include "base/clock.h"
#include "base/number.h"

/* What is left to read. */
struct audit_cursor {
    const char *at, *end;
};

static bool audit_cursor_expect(struct audit_cursor *cursor, const char *word, size_t len)
{
    if ((size_t)(cursor->end - cursor->at) < len || memcmp(cursor->at, word, len) != 0)
        return false;
    cursor->at += len;
    return true;
}

/* Digits, as number_read() takes them. */
static bool audit_cursor_read_number(struct audit_cursor *cursor, struct audit_value *out)
{
    const char *from = cursor->at;
    while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9')
        cursor->at++;
    return number_read(&out->number, from, (size_t)(cursor->at - from), UINT64_MAX);
}

/* Behind a backslash: text_add_json() writes no other escapes. */
static bool audit_cursor_skip_escape(struct audit_cursor *cursor)
{
    if (audit_cursor_expect(cursor, "\"", 1) || audit_cursor_expect(cursor, "\\", 1))
        return true;
    if (!audit_cursor_expect(cursor, "u", 1) || cursor->end - cursor->at < 4)
        return false;
    for (const char *stop = cursor->at + 4; cursor->at < stop; cursor->at++)
        if ((*cursor->at < '0' || *cursor->at > '9') && (*cursor->at < 'a' || *cursor->at > 'f'))
            return false;
    return true;
}

static bool audit_cursor_read_text(struct audit_cursor *cursor, struct audit_value *out)
{
    if (!audit_cursor_expect(cursor, "\"", 1))
        return false;
    out->at = cursor->at;
    for (;;) {
        cursor->at += text_json_plain(cursor->at, (size_t)(cursor->end - cursor->at));
        if (!audit_cursor_expect(cursor, "\\", 1))
            break;
        if (!audit_cursor_skip_escape(cursor))
            return false;
    }
    out->len = (size_t)(cursor->at - out->at);
    return audit_cursor_expect(cursor, "\"", 1);
}

static bool audit_cursor_read_flag(struct audit_cursor *cursor, struct audit_value *out)
{
    out->number = audit_cursor_expect(cursor, "true", 4);
    return out->number || audit_cursor_expect(cursor, "false", 5);
}

static bool audit_cursor_read_list(struct audit_cursor *cursor, struct audit_value *out)
{
    struct audit_value item;
    if (!audit_cursor_expect(cursor, "[", 1))
        return false;
    out->at = cursor->at;
    if (!audit_cursor_expect(cursor, "]", 1)) {
        do {
            if (!audit_cursor_read_text(cursor, &item))
                return false;
        } while (audit_cursor_expect(cursor, ",", 1));
        if (!audit_cursor_expect(cursor, "]", 1))
            return false;
    }
    out->len = (size_t)(cursor->at - 1 - out->at);
    return true;
}

static bool audit_cursor_read_value(struct audit_cursor *cursor, enum audit_kind kind, struct audit_value *out)
{
    *out = (struct audit_value){.kind = kind};
    if (audit_cursor_expect(cursor, "null", 4)) {
        out->kind = AUDIT_NULL;
        return true;
    }
    switch (kind) {
    case AUDIT_NUMBER:
        return audit_cursor_read_number(cursor, out);
    case AUDIT_TEXT:
        return audit_cursor_read_text(cursor, out);
    case AUDIT_FLAG:
        return audit_cursor_read_flag(cursor, out);
    case AUDIT_LIST:
        return audit_cursor_read_list(cursor, out);
    case AUDIT_NULL:
        break;
    }
    return false;
}

/* As clock_text() writes it, so that times can be compared as text. */
static bool audit_record_is_time(const struct audit_value *value)
{
    static const char form[] = "0000-00-00T00:00:00.000000Z";
    if (value->kind != AUDIT_TEXT || value->len != CLOCK_TEXT_MAX - 1)
        return false;
    for (size_t i = 0; i < value->len; i++)
        if (form[i] == '0' ? value->at[i] < '0' || value->at[i] > '9' : value->at[i] != form[i])
            return false;
    return true;
}

static bool audit_record_read_event(struct audit_record *record)
{
    for (int event = EVENT_START; event <= EVENT_CHECKPOINT; event++) {
        record->event = (enum record_event)event;
        if (audit_value_is(&record->values[AUDIT_KEY_EVENT], record_event_text(record->event)))
            return true;
    }
    return false;
}

/* What every record has, whatever it is about. */
static bool audit_record_is_sound(struct audit_record *record)
{
    return audit_record_is_time(&record->values[AUDIT_KEY_TIME]) && audit_record_read_event(record);
}

/* What the journal puts around it. */
static bool audit_record_is_framed(const struct audit_record *record)
{
    const struct audit_value *values = record->values, *chain = &values[AUDIT_KEY_CHAIN];
    return values[AUDIT_KEY_V].number == 1 && values[AUDIT_KEY_SEQ].number > 0 && (chain->kind == AUDIT_NULL || chain->len == CHAIN_LEN);
}

/* These keys, of which the first has no comma before it. */
static bool audit_cursor_read_keys(struct audit_cursor *cursor, struct audit_record *out, enum audit_key first, enum audit_key last)
{
    for (size_t i = first; i <= last; i++) {
        const size_t comma = i == first;
        if (!audit_cursor_expect(cursor, AUDIT_KEYS[i].text + comma, AUDIT_KEYS[i].len - comma) ||
            !audit_cursor_read_value(cursor, AUDIT_KEYS[i].kind, &out->values[i]))
            return false;
    }
    return true;
}

bool audit_record_read(struct audit_record *out, const char *line, size_t len)
{
    struct audit_cursor cursor = {line, line + len};
    return len < RECORD_MAX && audit_cursor_expect(&cursor, "{", 1) && audit_cursor_read_keys(&cursor, out, AUDIT_KEY_V, AUDIT_KEY_CHAIN) &&
           audit_cursor_expect(&cursor, "}", 1) && cursor.at == cursor.end && audit_record_is_framed(out) && audit_record_is_sound(out);
}

bool audit_record_read_text(struct audit_record *out, const char *text, size_t len)
{
    struct audit_cursor cursor = {text, text + len};
    *out = (struct audit_record){0};
    return len <= RECORD_TEXT_MAX && audit_cursor_read_keys(&cursor, out, AUDIT_KEY_TIME, AUDIT_KEY_DETAIL) && cursor.at == cursor.end &&
           audit_record_is_sound(out);
}

bool audit_value_is(const struct audit_value *value, const char *word)
{
    return value->kind == AUDIT_TEXT && value->len == strlen(word) && memcmp(value->at, word, value->len) == 0;
}
