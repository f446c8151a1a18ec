/* What tries to break out of an audit record, put into every string of one: one strict line, the value as exeat-audit(5) says, whole or marked. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stddef.h>
#include <string.h>

#include "audit/audit_record.h"
#include "audit/journal_gist.h"
#include "audit/journal_line.h"
#include "audit/record.h"
#include "data.h"

#define LONG (64 * 1024) /* bytes of a string far beyond every bound */
#define AROUND 14        /* positions around a bound: the longest escape and a little more */
#define STRICT (JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL)

enum field_kind { FIELD_BYTES, FIELD_STRING, FIELD_PLACE, FIELD_ALPN };

/* `chars` may stand between the quotes: the schema's maxLength without the mark. */
static const struct field {
    const char *key;
    enum field_kind kind;
    size_t offset, chars;
} FIELDS[] = {
    {"client_user", FIELD_BYTES, offsetof(struct record, client_user), 192},
    {"user_agent", FIELD_BYTES, offsetof(struct record, user_agent), 640},
    {"host", FIELD_BYTES, offsetof(struct record, host), 800},
    {"sni", FIELD_BYTES, offsetof(struct record, sni), 800},
    {"detail", FIELD_BYTES, offsetof(struct record, detail), 1500},
    {"alpn", FIELD_ALPN, 0, 96},
    {"instance", FIELD_STRING, offsetof(struct record, instance), 128},
    {"id", FIELD_STRING, offsetof(struct record, id), 32},
    {"listener", FIELD_STRING, offsetof(struct record, listener), 64},
    {"mode", FIELD_STRING, offsetof(struct record, mode), 32},
    {"client_group", FIELD_STRING, offsetof(struct record, client_group), 64},
    {"ja4", FIELD_STRING, offsetof(struct record, ja4), 64},
    {"tls_version", FIELD_STRING, offsetof(struct record, tls_version), 32},
    {"verdict", FIELD_STRING, offsetof(struct record, verdict), 32},
    {"class", FIELD_STRING, offsetof(struct record, class), 32},
    {"reason", FIELD_STRING, offsetof(struct record, reason), 32},
    {"rule", FIELD_STRING, offsetof(struct record, rule), 64},
    {"rule_at", FIELD_PLACE, offsetof(struct record, rule_at), 256},
    {"policy", FIELD_STRING, offsetof(struct record, policy), 80},
    {"route", FIELD_STRING, offsetof(struct record, route), 64},
    {"end", FIELD_STRING, offsetof(struct record, end), 32},
};
#define FIELD_COUNT (sizeof(FIELDS) / sizeof(FIELDS[0]))

/* Bytes of a peer, and what they are when decoded; both may hold NULs. */
struct sample {
    const char *name;
    const char *bytes;
    size_t len;
    const char *text;
    size_t text_len;
};

static char buffer[RECORD_TEXT_MAX + 1], line[RECORD_MAX + 1];

static void set_field(struct record *record, const struct field *field, const struct sample *sample)
{
    char *at = (char *)record + field->offset;
    const struct bytes bytes = {sample->bytes, sample->len};
    if (field->kind == FIELD_BYTES)
        memcpy(at, &bytes, sizeof(bytes));
    else if (field->kind == FIELD_ALPN)
        record->alpn[1] = bytes;
    else
        memcpy(at, &sample->bytes, sizeof(sample->bytes));
}

/* The record as the one line that is written; the caller does json_decref(). */
static json_t *line_of(const struct record *record, const char *name)
{
    struct text text, out;
    struct audit_record read;
    json_error_t error;
    text_init(&text, buffer, sizeof(buffer));
    text_init(&out, line, sizeof(line));
    cr_assert(record_write(&text, record) && journal_line_takes(text.at, text.len), "%s", name);
    cr_assert(journal_line_write(&out, 1, text.at, text.len, NULL));
    cr_assert(memchr(line, '\n', out.len) == line + out.len - 1, "%s: more than a line", name);
    for (size_t i = 0; i + 1 < out.len; i++)
        cr_assert(line[i] >= 0x20 && line[i] <= 0x7e, "%s: byte %02x", name, (unsigned char)line[i]);
    cr_assert(audit_record_read(&read, line, out.len - 1), "%s: %s", name, line);
    json_t *json = json_loadb(line, out.len, STRICT, &error);
    cr_assert(json != NULL && json_object_size(json) == AUDIT_KEY_COUNT, "%s: %s: %s", name, error.text, line);
    return json;
}

/* How many bytes the character has that begins here, and how many it takes in a record. */
static size_t character(const char *at, size_t *escaped)
{
    const unsigned char lead = (unsigned char)*at;
    *escaped = lead == '"' || lead == '\\' ? 2 : lead >= 0x20 && lead <= 0x7e ? 1 : lead >= 0xf0 ? 12 : 6;
    return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* The documented rule: of the characters as many as take no more than `chars`, and the mark when these are not all. */
static size_t expected_of(char *out, const struct sample *sample, size_t chars)
{
    size_t at = 0, taken = 0, escaped;
    while (at < sample->text_len) {
        size_t size = character(sample->text + at, &escaped);
        if ((taken += escaped) > chars)
            break;
        at += size;
    }
    memcpy(out, sample->text, at);
    memcpy(out + at, "...", 3);
    return at < sample->text_len ? at + 3 : at;
}

/* A place that is too long keeps its end, behind a mark. */
static bool is_place(const char *got, size_t len, const struct sample *sample)
{
    if (len == sample->text_len && memcmp(got, sample->text, len) == 0)
        return true;
    return len >= 3 && memcmp(got, "...", 3) == 0 && len - 3 < sample->text_len &&
           memcmp(got + 3, sample->text + sample->text_len - (len - 3), len - 3) == 0;
}

static void check_value(const json_t *json, const struct field *field, const struct sample *sample)
{
    static char wanted[2 * 1500 + 4];
    const json_t *value = json_object_get(json, field->key);
    if (field->kind == FIELD_ALPN)
        value = json_array_get(value, 1);
    const char *got = json_string_value(value);
    const size_t len = json_string_length(value);
    cr_assert(got != NULL, "%s of %s is no string", field->key, sample->name);
    if (field->kind == FIELD_PLACE) {
        cr_assert(is_place(got, len, sample), "%s of %s is %s", field->key, sample->name, got);
        return;
    }
    const size_t wanted_len = expected_of(wanted, sample, field->chars);
    cr_assert(len == wanted_len && memcmp(got, wanted, len) == 0, "%s of %s (%zu bytes) is %s", field->key, sample->name, sample->len, got);
}

static struct record empty_record(void)
{
    return (struct record){
        .event = EVENT_DECISION, .has_hello = true, .has_close = true, .alpn = {{"h2", 2}, {"", 0}, {"http/1.1", 8}}, .alpn_count = 3};
}

/* In one field; what else the record says is as if nothing were there. */
static void check_field(const struct sample *sample, const struct field *field)
{
    if (field->kind != FIELD_BYTES && field->kind != FIELD_ALPN && memchr(sample->bytes, '\0', sample->len))
        return; /* a string of ours */
    struct record record = empty_record();
    set_field(&record, field, sample);
    json_t *json = line_of(&record, sample->name);
    check_value(json, field, sample);
    cr_assert_eq(json_array_size(json_object_get(json, "alpn")), 3);
    cr_assert_eq(journal_gist_read(buffer, strlen(buffer)).kind, GIST_OTHER, "%s in %s is taken for another record", sample->name, field->key);
    json_decref(json);
}

static void check_fields(const struct sample *sample)
{
    for (size_t i = 0; i < FIELD_COUNT; i++)
        check_field(sample, &FIELDS[i]);
}

/* In all fields that take any bytes at once. */
static void check_everywhere(const struct sample *sample)
{
    struct record record = empty_record();
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (FIELDS[i].kind == FIELD_BYTES || FIELDS[i].kind == FIELD_ALPN)
            set_field(&record, &FIELDS[i], sample);
    json_t *json = line_of(&record, sample->name);
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (FIELDS[i].kind == FIELD_BYTES || FIELDS[i].kind == FIELD_ALPN)
            check_value(json, &FIELDS[i], sample);
    json_decref(json);
}

/* Calls `check` with every row of the corpus. */
static void each_row(void (*check)(const struct sample *sample))
{
    FILE *file = data_open("vectors/log_injection.jsonl");
    unsigned rows = 0;
    for (json_t *row; (row = data_next(file)) != NULL; rows++) {
        size_t len;
        uint8_t *bytes = data_hex(data_text(row, "hex"), &len);
        const json_t *text = json_object_get(row, "text");
        char *string = malloc(len + 1); /* of ours they have a NUL behind them */
        cr_assert(string != NULL);
        memcpy(string, bytes, len);
        string[len] = '\0';
        const struct sample sample = {data_text(row, "name"), string, len, json_string_value(text), json_string_length(text)};
        check(&sample);
        free(string);
        free(bytes);
        json_decref(row);
    }
    fclose(file);
    cr_assert_gt(rows, 90);
}

static void check_bare(const struct sample *sample)
{
    check_fields(sample);
    check_everywhere(sample);
}

Test(log_injection, every_string_in_every_field)
{
    each_row(check_bare);
}

/* `lead` letters, then the row again and again until there are `most` bytes. */
static struct sample run_of(const struct sample *row, size_t lead, size_t most)
{
    static char bytes[2 * LONG], text[8 * LONG];
    struct sample run = {.name = row->name, .bytes = bytes, .len = lead, .text = text, .text_len = lead};
    memset(bytes, 'a', lead);
    memset(text, 'a', lead);
    do {
        memcpy(bytes + run.len, row->bytes, row->len);
        memcpy(text + run.text_len, row->text, row->text_len);
        run.len += row->len;
        run.text_len += row->text_len;
    } while (run.len < most);
    bytes[run.len] = '\0';
    return run;
}

static void check_long(const struct sample *row)
{
    const struct sample run = run_of(row, 0, LONG);
    check_fields(&run);
}

Test(log_injection, every_string_64_kib_long)
{
    each_row(check_long);
}

static void check_at_the_bound(const struct sample *row)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        for (size_t lead = FIELDS[i].chars - AROUND; lead <= FIELDS[i].chars + 1; lead++) {
            const struct sample run = run_of(row, lead, 0);
            check_field(&run, &FIELDS[i]);
        }
    }
}

/* Where characters and escapes straddle the cut. */
Test(log_injection, every_string_across_the_bound)
{
    each_row(check_at_the_bound);
}

Test(log_injection, a_list_that_is_too_long_ends_in_the_mark)
{
    for (size_t count = RECORD_ALPN_MAX; count <= RECORD_ALPN_MAX + 2; count++) {
        struct record record = {.has_hello = true, .alpn_count = count};
        for (size_t i = 0; i < RECORD_ALPN_MAX; i++)
            record.alpn[i] = (struct bytes){"h2", 2};
        json_t *json = line_of(&record, "alpn");
        const json_t *alpn = json_object_get(json, "alpn");
        cr_assert_eq(json_array_size(alpn), RECORD_ALPN_MAX);
        cr_assert_str_eq(json_string_value(json_array_get(alpn, RECORD_ALPN_MAX - 2)), "h2");
        cr_assert_str_eq(json_string_value(json_array_get(alpn, RECORD_ALPN_MAX - 1)), count == RECORD_ALPN_MAX ? "h2" : "...");
        json_decref(json);
    }
}

Test(log_injection, a_place_keeps_its_line_number_whatever_stands_before)
{
    static const char *const PARTS[] = {"d", "\"", "\\", "\x01", "\xff", "\xc3\xa9", "\xf0\x9f\x9a\x80", "d\xc3\xa9"};
    for (size_t i = 0; i < sizeof(PARTS) / sizeof(PARTS[0]); i++) {
        for (size_t times = 1; times < 600; times++) {
            char place[4096] = "";
            for (size_t j = 0; j < times; j++)
                strcat(place, PARTS[i]);
            strcat(place, ".conf:417");
            struct record record = {.rule_at = place};
            json_t *json = line_of(&record, place);
            const char *at = json_string_value(json_object_get(json, "rule_at"));
            const size_t len = strlen(at);
            cr_assert_str_eq(at + len - 9, ".conf:417");
            cr_assert(strlen(place) > 253 || PARTS[i][0] != 'd' || PARTS[i][1] || strcmp(at, place) == 0, "cut without need");
            cr_assert(PARTS[i][0] == '\xff' || strstr(at, "\xef\xbf\xbd") == NULL, "cut within a character: %s", at);
            json_decref(json);
        }
    }
}
