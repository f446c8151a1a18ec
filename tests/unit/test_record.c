/* The audit record: its keys and their order, strict JSON whatever it holds, and the bound that no content passes. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "audit/journal_line.h"
#include "audit/record.h"

/* Those of exeat-audit(5), in its order. */
static const char *const KEYS[] = {
    "v",           "seq",        "time",     "instance",  "event",            "id",          "listener",    "mode",          "client_ip",
    "client_port", "peer_ip",    "client_group", "client_user", "user_agent", "host",        "port",        "sni",           "alpn",
    "ja4",         "ech",        "tls_version",  "original_ip", "verdict",    "class",       "reason",      "rule",          "rule_at",
    "policy",      "route",      "egress_ip",    "egress_public_ip", "egress_port", "upstream_ip", "upstream_port", "dns_ms", "connect_ms",
    "bytes_up",    "bytes_down", "duration_ms",  "end",         "detail",     "chain",
};
#define KEY_COUNT (sizeof(KEYS) / sizeof(KEYS[0]))

static char line[RECORD_MAX + 1];

/* The record as the line that the journal would write; its length must hold the bound, its bytes must be ASCII without an end of line. */
static json_t *line_of(const struct record *record)
{
    char buffer[RECORD_TEXT_MAX + 1];
    struct text text, out;
    json_error_t error;
    text_init(&text, buffer, sizeof(buffer));
    cr_assert(record_write(&text, record), "it did not fit");
    cr_assert_leq(text.len, RECORD_TEXT_MAX);
    cr_assert(journal_line_takes(text.at, text.len));
    text_init(&out, line, sizeof(line));
    cr_assert(journal_line_write(&out, UINT64_MAX, text.at, text.len, NULL));
    cr_assert_eq(out.at[out.len - 1], '\n');
    for (size_t i = 0; i + 1 < out.len; i++)
        cr_assert(out.at[i] >= 0x20 && out.at[i] <= 0x7e, "byte %02x at %zu", (unsigned char)out.at[i], i);
    json_t *json = json_loadb(out.at, out.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    cr_assert(json != NULL, "%s: %s", error.text, line);
    return json;
}

static void check_keys(json_t *json)
{
    const char *key;
    json_t *value;
    size_t at = 0;
    json_object_foreach (json, key, value) {
        cr_assert_lt(at, KEY_COUNT);
        cr_assert_str_eq(key, KEYS[at]);
        at++;
    }
    cr_assert_eq(at, KEY_COUNT);
}

static const char *text_of(const json_t *json, const char *key)
{
    const json_t *value = json_object_get(json, key);
    cr_assert(json_is_string(value), "%s is no string", key);
    return json_string_value(value);
}

static struct bytes bytes_of(const char *string)
{
    return (struct bytes){string, strlen(string)};
}

static struct address address_of(const char *string)
{
    struct address address;
    cr_assert(address_read(&address, string, strlen(string)));
    return address;
}

Test(record, zeroed_is_all_keys_and_null)
{
    struct record record = {0};
    json_t *json = line_of(&record);
    const char *key;
    json_t *value;
    check_keys(json);
    json_object_foreach (json, key, value) {
        bool known = !strcmp(key, "v") || !strcmp(key, "seq") || !strcmp(key, "time") || !strcmp(key, "event");
        cr_assert_eq(json_is_null(value), !known, "%s", key);
    }
    cr_assert_str_eq(text_of(json, "event"), "start");
    cr_assert_str_eq(text_of(json, "time"), "1970-01-01T00:00:00.000000Z");
    json_decref(json);
}

static struct record whole_record(void)
{
    return (struct record){
        .time_us = 1795304957123456, .instance = "egress-a", .event = EVENT_CLOSE, .id = "01K00000000000000000000000",
        .listener = "explicit", .mode = "connect", .client_ip = address_of("10.20.0.7"), .client_port = 40000, .peer_ip = address_of("10.0.3.1"),
        .client_group = "builders", .client_user = bytes_of("job-1"), .user_agent = bytes_of("Go-http-client/1.1"),
        .host = bytes_of("agent.buildkite.com"), .port = 443, .sni = bytes_of("agent.buildkite.com"), .has_hello = true,
        .alpn = {bytes_of("h2"), bytes_of("http/1.1")}, .alpn_count = 2, .ja4 = "t13d1516h2_8daaf6152771_b186095e22b6", .ech = true,
        .tls_version = "TLS 1.3", .original_ip = address_of("2001:db8::1"), .verdict = "allow", .class = "policy", .reason = "rule_allow",
        .rule = "agents", .rule_at = "exeat.conf:12", .policy = "sha256:00", .route = "nat", .egress_ip = address_of("10.0.1.10"),
        .egress_public_ip = address_of("203.0.113.17"), .egress_port = 50000, .upstream_ip = address_of("198.51.100.7"), .upstream_port = 443,
        .has_dns_ms = true, .dns_ms = 0, .has_connect_ms = true, .connect_ms = UINT32_MAX, .has_close = true, .bytes_up = 0,
        .bytes_down = UINT64_MAX, .duration_ms = 10, .end = "client_eof", .detail = bytes_of("a sentence"),
    };
}

Test(record, every_value_stands_under_its_key)
{
    struct record record = whole_record();
    json_t *json = line_of(&record);
    check_keys(json);
    json_decref(json);
    cr_assert_str_eq(line,
                     "{\"v\":1,\"seq\":18446744073709551615,\"time\":\"2026-11-21T23:49:17.123456Z\",\"instance\":\"egress-a\","
                     "\"event\":\"close\",\"id\":\"01K00000000000000000000000\",\"listener\":\"explicit\",\"mode\":\"connect\","
                     "\"client_ip\":\"10.20.0.7\",\"client_port\":40000,\"peer_ip\":\"10.0.3.1\",\"client_group\":\"builders\","
                     "\"client_user\":\"job-1\",\"user_agent\":\"Go-http-client/1.1\",\"host\":\"agent.buildkite.com\",\"port\":443,"
                     "\"sni\":\"agent.buildkite.com\",\"alpn\":[\"h2\",\"http/1.1\"],\"ja4\":\"t13d1516h2_8daaf6152771_b186095e22b6\","
                     "\"ech\":true,\"tls_version\":\"TLS 1.3\",\"original_ip\":\"2001:db8::1\",\"verdict\":\"allow\","
                     "\"class\":\"policy\",\"reason\":\"rule_allow\",\"rule\":\"agents\",\"rule_at\":\"exeat.conf:12\","
                     "\"policy\":\"sha256:00\",\"route\":\"nat\",\"egress_ip\":\"10.0.1.10\",\"egress_public_ip\":\"203.0.113.17\","
                     "\"egress_port\":50000,\"upstream_ip\":\"198.51.100.7\",\"upstream_port\":443,\"dns_ms\":0,"
                     "\"connect_ms\":4294967295,\"bytes_up\":0,\"bytes_down\":18446744073709551615,\"duration_ms\":10,"
                     "\"end\":\"client_eof\",\"detail\":\"a sentence\",\"chain\":null}\n");
}

Test(record, hello_without_alpn_is_an_empty_list)
{
    struct record record = {.has_hello = true};
    json_t *json = line_of(&record);
    cr_assert(json_is_array(json_object_get(json, "alpn")));
    cr_assert_eq(json_array_size(json_object_get(json, "alpn")), 0);
    cr_assert(json_is_false(json_object_get(json, "ech")));
    json_decref(json);
}

Test(record, event_words)
{
    static const char *const words[] = {"start", "stop", "reload", "decision", "close", "rotate", "recovered", "gap", "probe", "checkpoint"};
    for (int i = EVENT_START; i <= EVENT_CHECKPOINT; i++)
        cr_assert_str_eq(record_event_text((enum record_event)i), words[i]);
}

/* Every string at once is made of what takes most room, and of far more of it than is kept. */
static void check_worst(const char *pattern, size_t pattern_len)
{
    static char huge[70000];
    for (size_t i = 0; i < sizeof(huge) - 1; i++)
        huge[i] = pattern[i % pattern_len];
    struct bytes bytes = {huge, sizeof(huge) - 1};
    struct address address = address_of("1111:2222:3333:4444:5555:6666:7777:8888");
    struct record record = {
        .time_us = UINT64_MAX, .instance = huge, .event = EVENT_CHECKPOINT, .id = huge, .listener = huge, .mode = huge, .client_ip = address,
        .client_port = UINT16_MAX, .peer_ip = address, .client_group = huge, .client_user = bytes, .user_agent = bytes, .host = bytes,
        .port = UINT16_MAX, .sni = bytes, .has_hello = true, .alpn_count = RECORD_ALPN_MAX + 7, .ja4 = huge, .tls_version = huge,
        .original_ip = address, .verdict = huge, .class = huge, .reason = huge, .rule = huge, .rule_at = huge, .policy = huge, .route = huge,
        .egress_ip = address, .egress_public_ip = address, .egress_port = UINT16_MAX, .upstream_ip = address, .upstream_port = UINT16_MAX,
        .has_dns_ms = true, .dns_ms = UINT32_MAX, .has_connect_ms = true, .connect_ms = UINT32_MAX, .has_close = true, .bytes_up = UINT64_MAX,
        .bytes_down = UINT64_MAX, .duration_ms = UINT64_MAX, .end = huge, .detail = bytes,
    };
    for (size_t i = 0; i < RECORD_ALPN_MAX; i++)
        record.alpn[i] = bytes;
    json_t *json = line_of(&record);
    check_keys(json);
    json_decref(json);
}

Test(record, nothing_is_shorter_than_is_taken)
{
    struct record record = {
        .instance = "", .event = EVENT_GAP, .id = "", .listener = "", .mode = "", .client_port = 1, .client_group = "", .client_user = {"", 0},
        .user_agent = {"", 0}, .host = {"", 0}, .port = 1, .sni = {"", 0}, .has_hello = true, .ja4 = "", .ech = true, .tls_version = "",
        .verdict = "", .class = "", .reason = "", .rule = "", .rule_at = "", .policy = "", .route = "", .egress_port = 1, .upstream_port = 1,
        .has_dns_ms = true, .has_connect_ms = true, .has_close = true, .end = "", .detail = {"", 0},
    };
    char buffer[RECORD_TEXT_MAX + 1];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    cr_assert(record_write(&text, &record));
    cr_assert_geq(text.len, RECORD_TEXT_MIN);
}

Test(record, nothing_outgrows_the_line)
{
    check_worst("\x01", 1);
    check_worst("\xff", 1);
    check_worst("\"", 1);
    check_worst("a", 1);
    check_worst("\xc3\xa9", 2);
    check_worst("\xf0\x9f\x98\x80", 4);
    check_worst("aaaaaaaaaaaaaaa\x01", 16);
    for (size_t plain = 1; plain < 64; plain++) { /* where the plain part ends moves through every bound */
        char mixed[65];
        memset(mixed, 'a', plain);
        mixed[plain] = '\x7f';
        check_worst(mixed, plain + 1);
    }
}

struct injection {
    const char *bytes;
    size_t len;
    const char *expect; /* as UTF-8 */
};
#define INJECTION(bytes, expect) {bytes, sizeof(bytes) - 1, expect}

static const struct injection INJECTIONS[] = {
    INJECTION("x\",\"verdict\":\"allow\",\"y\":\"", "x\",\"verdict\":\"allow\",\"y\":\""),
    INJECTION("x\"}\n{\"v\":1,\"seq\":1}", "x\"}\n{\"v\":1,\"seq\":1}"),
    INJECTION("x\",\"chain\":null}\n", "x\",\"chain\":null}\n"),
    INJECTION("\r\n\t\b\f\x1b[2J\x7f", "\r\n\t\b\f\x1b[2J\x7f"),
    INJECTION("\\", "\\"),
    INJECTION("\\u0000", "\\u0000"),
    INJECTION("\xe2\x80\xa8\xe2\x80\xae", "\xe2\x80\xa8\xe2\x80\xae"),
    INJECTION("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"),
    INJECTION("a\xc0\xaf", "a\xef\xbf\xbd\xef\xbf\xbd"),
    INJECTION("\xf0\x9f\x98", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"),
    INJECTION("%s%n", "%s%n"),
    INJECTION("", ""),
};

Test(record, outside_bytes_stay_inside_their_string)
{
    for (size_t i = 0; i < sizeof(INJECTIONS) / sizeof(INJECTIONS[0]); i++) {
        const struct injection *injection = &INJECTIONS[i];
        struct bytes bytes = {injection->bytes, injection->len};
        struct record record = {.client_user = bytes, .user_agent = bytes, .host = bytes, .sni = bytes, .detail = bytes};
        record.has_hello = true;
        record.alpn[0] = bytes;
        record.alpn_count = 1;
        json_t *json = line_of(&record);
        check_keys(json);
        cr_assert(json_is_null(json_object_get(json, "verdict")));
        cr_assert_str_eq(text_of(json, "client_user"), injection->expect);
        cr_assert_str_eq(text_of(json, "user_agent"), injection->expect);
        cr_assert_str_eq(text_of(json, "host"), injection->expect);
        cr_assert_str_eq(text_of(json, "sni"), injection->expect);
        cr_assert_str_eq(text_of(json, "detail"), injection->expect);
        cr_assert_str_eq(json_string_value(json_array_get(json_object_get(json, "alpn"), 0)), injection->expect);
        json_decref(json);
    }
}

Test(record, nul_is_escaped)
{
    struct record record = {.host = {"a\0b", 3}};
    json_decref(line_of(&record));
    cr_assert(strstr(line, "\"host\":\"a\\u0000b\"") != NULL, "%s", line);
}

Test(record, a_name_of_253_bytes_is_whole_and_longer_ones_are_marked)
{
    char name[254], longer[2001];
    memset(name, 'n', sizeof(name) - 1);
    memset(longer, 'n', sizeof(longer) - 1);
    name[253] = longer[2000] = '\0';
    struct record record = {.host = bytes_of(name), .sni = bytes_of(longer)};
    json_t *json = line_of(&record);
    cr_assert_str_eq(text_of(json, "host"), name);
    const char *sni = text_of(json, "sni");
    cr_assert_lt(strlen(sni), 1024);
    cr_assert_str_eq(sni + strlen(sni) - 3, "...");
    json_decref(json);
}

Test(record, a_long_place_keeps_its_line_number)
{
    char place[600];
    memset(place, 'd', sizeof(place));
    strcpy(place + sizeof(place) - 9, "conf:417");
    struct record record = {.rule_at = place};
    json_t *json = line_of(&record);
    const char *at = text_of(json, "rule_at");
    cr_assert_str_eq(at + strlen(at) - 8, "conf:417");
    json_decref(json);
}

Test(record, too_small_a_buffer_is_said)
{
    char buffer[400];
    struct text text;
    struct record record = whole_record();
    text_init(&text, buffer, sizeof(buffer));
    cr_assert_not(record_write(&text, &record));
}

Test(record, a_line_is_read_back)
{
    struct record record = whole_record();
    struct journal_line read;
    record.detail = bytes_of(",\"chain\":null}");
    json_decref(line_of(&record));
    cr_assert(journal_line_read(&read, line, strlen(line) - 1));
    cr_assert_eq(read.seq, UINT64_MAX);
    cr_assert_null(read.chain);
    cr_assert_eq(read.len, strlen(line) - strlen("{\"v\":1,\"seq\":18446744073709551615,") - strlen(",\"chain\":null}\n"));
    for (size_t len = 0; len + 1 < strlen(line); len++) {
        cr_assert(journal_line_is_start(line, len));
        cr_assert_not(journal_line_read(&read, line, len), "a line cut off at %zu was taken", len);
    }
}

Test(record, a_chained_line_is_read_back)
{
    static const char body[] = "\"time\":\"2026\",\"detail\":\",\\\"chain\\\":\\\"\"";
    char buffer[256];
    struct journal_line read;
    struct text out;
    struct chain *chain = chain_new();
    text_init(&out, buffer, sizeof(buffer));
    cr_assert(journal_line_write(&out, 1, body, strlen(body), chain));
    cr_assert(journal_line_read(&read, out.at, out.len - 1));
    cr_assert_eq(read.len, strlen(body));
    cr_assert(memcmp(read.chain, chain_text(chain), CHAIN_LEN) == 0);
    for (size_t len = 0; len + 1 < out.len; len++)
        cr_assert_not(journal_line_read(&read, out.at, len), "a line cut off at %zu was taken", len);
    text_init(&out, buffer, 100);
    cr_assert_not(journal_line_write(&out, 1, body, strlen(body), chain), "there is no room");
    chain_free(chain);
}
