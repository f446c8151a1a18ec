/* Fuzzes the writer of audit records: any bytes in any field are one line of strict JSON, and what jansson decodes is what was sent. */
#include <assert.h>
#include <jansson.h>
#include <string.h>

#include "audit/audit_record.h"
#include "audit/journal_line.h"

#define REPLACEMENT "\xef\xbf\xbd"
#define MARK "..."

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const KEYS[] = {"client_user", "user_agent", "host", "sni", "detail"};
enum { KEY_COUNT = sizeof(KEYS) / sizeof(KEYS[0]) };

/* How long the UTF-8 character is that begins here; 0: there is none, says jansson. */
static size_t character(const char *at, size_t left)
{
    for (size_t len = 1; len <= 4 && len <= left; len++) {
        json_t *string = json_stringn(at, len);
        json_decref(string);
        if (string != NULL)
            return len;
    }
    return 0;
}

/* What was decoded must be what was sent, a replacement for each byte that belongs to no character, up to its end or to the mark. */
static void check_text(const json_t *json, const struct bytes *sent)
{
    const char *got = json_string_value(json), *at = sent->at, *end = at + sent->len;
    size_t left = json_string_length(json);
    assert(got != NULL);
    while (at < end) {
        const size_t size = character(at, (size_t)(end - at)), shown = size > 0 ? size : strlen(REPLACEMENT);
        if (left < shown || memcmp(got, size > 0 ? at : REPLACEMENT, shown) != 0)
            break;
        at += size > 0 ? size : 1;
        got += shown;
        left -= shown;
    }
    if (at < end || left > 0) /* dots that were sent may have been taken for those of the mark, all of them but for one */
        assert(left < strlen(MARK) + (at < end) && memcmp(got + left - strlen(MARK), MARK, strlen(MARK)) == 0);
}

static void check_values(const json_t *json, const struct bytes *sent, const struct record *record)
{
    const json_t *alpn = json_object_get(json, "alpn");
    for (size_t i = 0; i < KEY_COUNT; i++)
        check_text(json_object_get(json, KEYS[i]), &sent[i]);
    assert(json_array_size(alpn) == record->alpn_count);
    for (size_t i = 0; i < record->alpn_count; i++)
        check_text(json_array_get(alpn, i), &record->alpn[i]);
}

static void check_line(const struct record *record, const struct bytes *sent)
{
    char buffer[RECORD_TEXT_MAX + 1], line[RECORD_MAX + 1];
    struct audit_record read;
    struct text text, out;
    text_init(&text, buffer, sizeof(buffer));
    text_init(&out, line, sizeof(line));
    assert(record_write(&text, record) && journal_line_takes(text.at, text.len));
    assert(journal_line_write(&out, 1, text.at, text.len, NULL) && memchr(line, '\n', out.len) == line + out.len - 1);
    assert(audit_record_read(&read, line, out.len - 1));
    json_t *json = json_loadb(line, out.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    assert(json != NULL && json_object_size(json) == AUDIT_KEY_COUNT);
    check_values(json, sent, record);
    json_decref(json);
}

/* The next piece of the input: a 255 ends it. */
static struct bytes next_piece(const uint8_t **at, size_t *left)
{
    const uint8_t *end = *left > 0 ? memchr(*at, 255, *left) : NULL;
    const struct bytes piece = {*at, end != NULL ? (size_t)(end - *at) : *left};
    const size_t used = piece.len + (end != NULL);
    *at += used;
    *left -= used;
    return piece;
}

/* Pieces by turns, so that each field holds what its neighbour begins; repeated where the first byte says so, to reach the bounds. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t many[1 << 16];
    struct bytes sent[KEY_COUNT];
    if (size < 2)
        return 0;
    const size_t times = data[0] % 64 + 1u;
    size_t left = 0;
    for (size_t i = 0; i < times && left + size - 1 <= sizeof(many); i++, left += size - 1)
        memcpy(many + left, data + 1, size - 1);
    const uint8_t *at = many;
    for (size_t i = 0; i < KEY_COUNT; i++)
        sent[i] = data[0] & 64 ? (struct bytes){many, left} : next_piece(&at, &left);
    struct record record = {.client_user = sent[0], .user_agent = sent[1], .host = sent[2], .sni = sent[3], .detail = sent[4], .has_hello = true};
    for (; record.alpn_count < RECORD_ALPN_MAX && left > 0; record.alpn_count++)
        record.alpn[record.alpn_count] = data[0] & 64 ? sent[0] : next_piece(&at, &left);
    check_line(&record, sent);
    return 0;
}
