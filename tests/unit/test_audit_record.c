/* Reading a record back: all that the writer can write, and nothing else. */
#include "audit/audit_record.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/journal_line.h"

static char line[RECORD_MAX + 1];
static size_t line_len;

static struct bytes bytes_of(const char *string)
{
    return (struct bytes){string, strlen(string)};
}

static struct record whole_record(void)
{
    const struct address address = {.family = FAMILY_V4, .bytes = {10, 20, 0, 7}};
    return (struct record){
        .time_us = 1795304957123456,
        .instance = "egress-a",
        .event = EVENT_CLOSE,
        .id = "01K00000000000000000000000",
        .listener = "explicit",
        .mode = "connect",
        .client_ip = address,
        .client_port = 40000,
        .client_group = "builders",
        .user_agent = bytes_of("a\"b\\c\n\xff\xf0\x9f\x98\x80"),
        .host = bytes_of("agent.buildkite.com"),
        .port = 443,
        .has_hello = true,
        .alpn = {bytes_of("h2"), bytes_of("]\",")},
        .alpn_count = 2,
        .ech = true,
        .verdict = "observe",
        .class = "policy",
        .reason = "default_deny",
        .route = "nat",
        .has_dns_ms = true,
        .dns_ms = 0,
        .has_close = true,
        .bytes_up = 0,
        .bytes_down = UINT64_MAX,
        .duration_ms = 10,
        .end = "client_eof",
    };
}

static void write_line(const struct record *record, struct chain *chain)
{
    char buffer[RECORD_TEXT_MAX + 1];
    struct text text, out;
    text_init(&text, buffer, sizeof(buffer));
    cr_assert(record_write(&text, record));
    text_init(&out, line, sizeof(line));
    cr_assert(journal_line_write(&out, 7, text.at, text.len, chain));
    line_len = out.len - 1;
}

static void write_whole(void)
{
    const struct record record = whole_record();
    struct chain *chain = chain_new();
    write_line(&record, chain);
    chain_free(chain);
}

/* In memory of just its size, so that a read past its end is seen. */
static bool reads(const char *bytes, size_t len)
{
    struct audit_record record;
    char *copy = malloc(len + (len == 0));
    memcpy(copy, bytes, len);
    bool read = audit_record_read(&record, copy, len);
    free(copy);
    return read;
}

static void expect_text(const struct audit_record *record, enum audit_key key, const char *text)
{
    const struct audit_value *value = &record->values[key];
    cr_expect(audit_value_is(value, text), "%.*s where %s should be", (int)value->len, value->at, text);
}

Test(audit_record, every_kind_of_value)
{
    struct audit_record record;
    write_whole();
    cr_assert(audit_record_read(&record, line, line_len));
    cr_assert_eq(record.event, EVENT_CLOSE);
    cr_assert_eq(record.values[AUDIT_KEY_SEQ].number, 7);
    expect_text(&record, AUDIT_KEY_TIME, "2026-11-21T23:49:17.123456Z");
    expect_text(&record, AUDIT_KEY_CLIENT_IP, "10.20.0.7");
    expect_text(&record, AUDIT_KEY_HOST, "agent.buildkite.com");
    expect_text(&record, AUDIT_KEY_USER_AGENT, "a\\\"b\\\\c\\u000a\\ufffd\\ud83d\\ude00");
    cr_expect_eq(record.values[AUDIT_KEY_CLIENT_PORT].number, 40000);
    cr_expect_eq(record.values[AUDIT_KEY_BYTES_UP].kind, AUDIT_NUMBER);
    cr_expect_eq(record.values[AUDIT_KEY_BYTES_DOWN].number, UINT64_MAX);
    cr_expect_eq(record.values[AUDIT_KEY_CONNECT_MS].kind, AUDIT_NULL);
    cr_expect_eq(record.values[AUDIT_KEY_CONNECT_MS].number, 0);
    cr_expect_eq(record.values[AUDIT_KEY_SNI].kind, AUDIT_NULL);
    cr_expect_eq(record.values[AUDIT_KEY_ECH].number, 1);
    const struct audit_value *alpn = &record.values[AUDIT_KEY_ALPN];
    cr_expect_eq(alpn->kind, AUDIT_LIST);
    cr_expect(alpn->len == strlen("\"h2\",\"]\\\",\"") && memcmp(alpn->at, "\"h2\",\"]\\\",\"", alpn->len) == 0, "%.*s", (int)alpn->len, alpn->at);
    cr_expect_eq(record.values[AUDIT_KEY_CHAIN].len, CHAIN_LEN);
}

Test(audit_record, zeroed_and_every_event)
{
    for (int event = EVENT_START; event <= EVENT_CHECKPOINT; event++) {
        struct audit_record read;
        const struct record record = {.event = (enum record_event)event, .has_hello = event == EVENT_PROBE};
        write_line(&record, NULL);
        cr_assert(audit_record_read(&read, line, line_len));
        cr_assert_eq(read.event, (enum record_event)event);
        cr_assert_eq(read.values[AUDIT_KEY_CHAIN].kind, AUDIT_NULL);
        cr_assert_eq(read.values[AUDIT_KEY_ALPN].kind, event == EVENT_PROBE ? AUDIT_LIST : AUDIT_NULL);
        cr_assert_eq(read.values[AUDIT_KEY_ALPN].len, 0);
    }
}

Test(audit_record, cut_off_anywhere_or_with_something_behind)
{
    write_whole();
    for (size_t len = 0; len < line_len; len++)
        cr_expect_not(reads(line, len), "%zu bytes", len);
    cr_expect(reads(line, line_len));
    for (const char *more = " \n}{,"; *more != '\0'; more++) {
        line[line_len] = *more;
        cr_expect_not(reads(line, line_len + 1));
    }
}

/* Outside of strings and numbers no byte can be another one, be missing or be there twice. */
Test(audit_record, every_byte_of_the_frame)
{
    write_whole();
    bool is_quoted = false;
    for (size_t i = 0; i < line_len; i++) {
        const char byte = line[i];
        if (byte == '"' && (i == 0 || line[i - 1] != '\\'))
            is_quoted = !is_quoted;
        if (is_quoted || (byte >= '0' && byte <= '9'))
            continue;
        char twice[RECORD_MAX + 1];
        memcpy(twice, line, i);
        memcpy(twice + i + 1, line + i, line_len - i);
        twice[i] = byte;
        cr_expect_not(reads(twice, line_len + 1), "byte %zu twice", i);
        memcpy(twice + i, line + i + 1, line_len - i - 1);
        cr_expect_not(reads(twice, line_len - 1), "without byte %zu", i);
        line[i] = '~';
        cr_expect_not(reads(line, line_len), "byte %zu", i);
        line[i] = byte;
    }
}

/* Puts `to` in place of the first `from`; the line is as it was afterwards. */
static void expect_refused(const char *from, const char *to)
{
    char other[2 * RECORD_MAX];
    line[line_len] = '\0';
    const char *at = strstr(line, from);
    cr_assert(at != NULL, "%s", from);
    const int len = snprintf(other, sizeof(other), "%.*s%s%s", (int)(at - line), line, to, at + strlen(from));
    cr_expect_not(reads(other, (size_t)len), "%s for %s", to, from);
}

Test(audit_record, what_is_no_record_of_ours)
{
    static const char *const changes[][2] = {
        {"\"v\":1", "\"v\":2"},
        {"\"v\":1", "\"v\":null"},
        {"\"seq\":7", "\"seq\":0"},
        {"\"seq\":7", "\"seq\":07"},
        {"\"seq\":7", "\"seq\":null"},
        {"\"seq\":7", "\"seq\":-7"},
        {"\"seq\":7", "\"seq\":7.0"},
        {"\"seq\":7", "\"seq\":7e0"},
        {"\"seq\":7", "\"seq\":\"7\""},
        {"\"seq\":7", "\"seq\":18446744073709551616"},
        {"\"seq\":7,", "\"seq\": 7,"},
        {"\"2026-11-21T23:49:17.123456Z\"", "null"},
        {"17.123456Z", "17.123Z"},
        {"17.123456Z", "17.123456+"},
        {"T23:", " 23:"},
        {"\"close\"", "\"closed\""},
        {"\"close\"", "\"Close\""},
        {"\"close\"", "null"},
        {"\"close\"", "\"\""},
        {"40000", "\"40000\""},
        {"agent.build", "agent\x7f"},
        {"agent.build", "agent\xc3\xa9"},
        {"agent.build", "agent\t"},
        {"agent.build", "agent\\n"},
        {"agent.build", "agent\\/"},
        {"agent.build", "agent\\u00AB"},
        {"agent.build", "agent\\u00"},
        {"agent.build", "agent\\"},
        {"true", "1"},
        {"true", "\"true\""},
        {"true", "True"},
        {"[\"h2\",", "[,"},
        {"[\"h2\",", "[null,"},
        {"[\"h2\",", "[\"h2\""},
        {"[\"h2\",", "\"h2\","},
        {"\"mode\"", "\"mode\":null,\"mode\""},
        {"\"mode\"", "\"Mode\""},
        {"\"chain\":\"", "\"chain\":\"A"},
        {"\"detail\":null,", ""},
    };
    write_whole();
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
        expect_refused(changes[i][0], changes[i][1]);
}

Test(audit_record, too_long)
{
    write_whole();
    char *start = strstr(line, "agent.build");
    char other[2 * RECORD_MAX];
    const size_t before = (size_t)(start - line), more = RECORD_MAX - line_len;
    memcpy(other, line, before);
    memset(other + before, 'a', more);
    memcpy(other + before + more, start, line_len - before);
    cr_expect_not(reads(other, line_len + more));
    memmove(other + before, other + before + 1, line_len + more - before - 1);
    cr_expect(reads(other, line_len + more - 1));
}
