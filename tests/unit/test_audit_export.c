/* Records by other schemas: nothing is lost, nothing is invented, and what comes out is strict JSON. */
#include "audit/audit_export.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const enum audit_export_format FORMATS[] = {AUDIT_EXPORT_ECS, AUDIT_EXPORT_OCSF};

static char line[RECORD_MAX + 1], exported[AUDIT_EXPORT_MAX];

struct member {
    enum audit_key key;
    const char *json;
};

/* A line with these values, the rest null. */
static void make_line(const char *event, const struct member *members, size_t count)
{
    static const char *const NAMES[] = {
#define X(symbol, key, kind) key,
        AUDIT_KEY_TABLE(X)
#undef X
    };
    struct text text;
    text_init(&text, line, sizeof(line));
    for (size_t i = 0; i < AUDIT_KEY_COUNT; i++) {
        const char *json = i == AUDIT_KEY_V || i == AUDIT_KEY_SEQ ? "1" : i == AUDIT_KEY_TIME ? "\"2026-11-21T23:49:17.123456Z\"" : "null";
        for (size_t at = 0; at < count; at++)
            if (members[at].key == i)
                json = members[at].json;
        if (i == AUDIT_KEY_EVENT)
            text_format(&text, ",\"event\":\"%s\"", event);
        else
            text_format(&text, "%c\"%s\":%s", i == 0 ? '{' : ',', NAMES[i], json);
    }
    text_add_char(&text, '}');
    cr_assert(!text.cut);
}

/* In memory of just the size that is promised to be enough. */
static bool export_line(enum audit_export_format format)
{
    struct audit_record record;
    struct text text;
    cr_assert(audit_record_read(&record, line, strlen(line)), "%s", line);
    text_init(&text, exported, sizeof(exported));
    return audit_export_write(&text, &record, format);
}

static json_t *export_json(enum audit_export_format format)
{
    json_error_t error;
    cr_assert(export_line(format));
    json_t *json = json_loads(exported, JSON_REJECT_DUPLICATES, &error);
    cr_assert(json != NULL, "%s: %s", error.text, exported);
    return json;
}

/* A member by its way, as in "event.outcome", as text; "" where there is none. */
static const char *member_text(const json_t *json, const char *way)
{
    static char text[256];
    char name[64];
    while (json != NULL && *way != '\0') {
        const size_t len = strcspn(way, ".");
        cr_assert(text_copy(name, sizeof(name), way, len));
        json = json_object_get(json, name);
        way += len + (way[len] == '.');
    }
    char *dumped = json != NULL ? json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    snprintf(text, sizeof(text), "%s", dumped != NULL ? dumped : "");
    free(dumped);
    return text;
}

static void expect_member(const json_t *json, const char *way, const char *wanted)
{
    const char *found = member_text(json, way);
    cr_expect_str_eq(found, wanted, "%s is %s, not %s, in %s", way, found, wanted, exported);
}

#define CHAIN_44 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

/* Each value once in the line, and told apart from every other. */
static const struct member WHOLE[] = {
    {AUDIT_KEY_SEQ, "1002"},
    {AUDIT_KEY_INSTANCE, "\"m-instance\""},
    {AUDIT_KEY_ID, "\"m-id\""},
    {AUDIT_KEY_LISTENER, "\"m-listener\""},
    {AUDIT_KEY_MODE, "\"m-mode\""},
    {AUDIT_KEY_CLIENT_IP, "\"10.20.0.7\""},
    {AUDIT_KEY_CLIENT_PORT, "1010"},
    {AUDIT_KEY_PEER_IP, "\"10.20.0.11\""},
    {AUDIT_KEY_CLIENT_GROUP, "\"m-group\""},
    {AUDIT_KEY_CLIENT_USER, "\"m-user\""},
    {AUDIT_KEY_USER_AGENT, "\"m-agent\\\"\\\\\\u000a\\ud83d\\ude00{\""},
    {AUDIT_KEY_HOST, "\"m-host\""},
    {AUDIT_KEY_PORT, "1016"},
    {AUDIT_KEY_SNI, "\"m-sni\""},
    {AUDIT_KEY_ALPN, "[\"m-alpn\",\"]\\\",\"]"},
    {AUDIT_KEY_JA4, "\"m-ja4\""},
    {AUDIT_KEY_ECH, "true"},
    {AUDIT_KEY_TLS_VERSION, "\"TLS 1.3\""},
    {AUDIT_KEY_ORIGINAL_IP, "\"10.20.0.22\""},
    {AUDIT_KEY_VERDICT, "\"m-verdict\""},
    {AUDIT_KEY_CLASS, "\"m-class\""},
    {AUDIT_KEY_REASON, "\"m-reason\""},
    {AUDIT_KEY_RULE, "\"m-rule\""},
    {AUDIT_KEY_RULE_AT, "\"m-at:7\""},
    {AUDIT_KEY_POLICY, "\"m-policy\""},
    {AUDIT_KEY_ROUTE, "\"m-route\""},
    {AUDIT_KEY_EGRESS_IP, "\"10.20.0.30\""},
    {AUDIT_KEY_EGRESS_PUBLIC_IP, "\"10.20.0.31\""},
    {AUDIT_KEY_EGRESS_PORT, "1032"},
    {AUDIT_KEY_UPSTREAM_IP, "\"10.20.0.33\""},
    {AUDIT_KEY_UPSTREAM_PORT, "1034"},
    {AUDIT_KEY_DNS_MS, "1035"},
    {AUDIT_KEY_CONNECT_MS, "1036"},
    {AUDIT_KEY_BYTES_UP, "1037"},
    {AUDIT_KEY_BYTES_DOWN, "1038"},
    {AUDIT_KEY_DURATION_MS, "1039"},
    {AUDIT_KEY_END, "\"m-end\""},
    {AUDIT_KEY_DETAIL, "\"m-detail\""},
    {AUDIT_KEY_CHAIN, "\"" CHAIN_44 "\""},
};

static void expect_whole(const char *event)
{
    make_line(event, WHOLE, COUNT(WHOLE));
    for (size_t format = 0; format < COUNT(FORMATS); format++) {
        json_decref(export_json(FORMATS[format]));
        cr_expect(strstr(exported, event) != NULL);
        for (size_t i = 0; i < COUNT(WHOLE); i++) {
            const bool is_split = FORMATS[format] == AUDIT_EXPORT_ECS && WHOLE[i].key == AUDIT_KEY_TLS_VERSION;
            cr_expect(strstr(exported, is_split ? "\"version\":\"1.3\",\"version_protocol\":\"tls\"" : WHOLE[i].json) != NULL, "%s is lost in %s",
                      WHOLE[i].json, exported);
        }
    }
}

Test(audit_export, every_value_of_every_event_is_there)
{
    for (int event = EVENT_START; event <= EVENT_CHECKPOINT; event++)
        expect_whole(record_event_text((enum record_event)event));
}

Test(audit_export, what_is_null_is_left_out)
{
    make_line("start", NULL, 0);
    cr_assert(export_line(AUDIT_EXPORT_ECS));
    cr_expect_str_eq(exported,
                     "{\"@timestamp\":\"2026-11-21T23:49:17.123456Z\",\"ecs\":{\"version\":\"8.17.0\"},\"event\":{\"kind\":\"event\",\"category\":["
                     "\"process\"],\"type\":[\"start\"],\"action\":\"start\",\"outcome\":\"success\",\"code\":\"start\",\"id\":\"/1\",\"sequence\":1,"
                     "\"module\":\"exeat\",\"dataset\":\"exeat.audit\"},\"observer\":{\"type\":\"proxy\",\"vendor\":\"exeat\",\"product\":\"exeat\"},"
                     "\"exeat\":{\"v\":1}}");
    cr_assert(export_line(AUDIT_EXPORT_OCSF));
    cr_expect_str_eq(exported,
                     "{\"activity_id\":3,\"category_uid\":6,\"class_uid\":6002,\"type_uid\":600203,\"time\":1795304957123,\"severity_id\":1,"
                     "\"status_id\":1,\"metadata\":{\"version\":\"1.5.0\",\"product\":{\"name\":\"exeat\",\"vendor_name\":\"exeat\"},\"log_name\":"
                     "\"audit\",\"log_version\":\"1\",\"event_code\":\"start\",\"uid\":\"/1\",\"sequence\":1,\"original_time\":"
                     "\"2026-11-21T23:49:17.123456Z\"},\"app\":{\"name\":\"exeat\",\"vendor_name\":\"exeat\"}}");
}

struct kind_case {
    const char *event;
    struct member member; /* beside the client's address */
    const char *type, *outcome, *class, *activity, *action, *disposition;
};

Test(audit_export, kinds)
{
    static const struct kind_case CASES[] = {
        {"decision", {AUDIT_KEY_VERDICT, "\"allow\""}, "[\"connection\",\"start\",\"allowed\"]", "\"success\"", "4001", "1", "1", "1"},
        {"decision", {AUDIT_KEY_VERDICT, "\"observe\""}, "[\"connection\",\"start\",\"allowed\"]", "\"success\"", "4001", "1", "3", "17"},
        {"decision", {AUDIT_KEY_CLASS, "\"policy\""}, "[\"connection\",\"denied\"]", "\"success\"", "4001", "5", "2", "2"},
        {"decision", {AUDIT_KEY_CLASS, "\"client\""}, "[\"connection\",\"denied\"]", "\"success\"", "4001", "5", "2", "25"},
        {"decision", {AUDIT_KEY_CLASS, "\"network\""}, "[\"connection\"]", "\"failure\"", "4001", "4", "2", "27"},
        {"decision", {AUDIT_KEY_CLASS, "\"capacity\""}, "[\"connection\",\"denied\"]", "\"failure\"", "4001", "5", "2", "27"},
        {"decision", {AUDIT_KEY_CLASS, "\"yet unknown\""}, "[\"connection\",\"denied\"]", "\"success\"", "4001", "5", "2", "2"},
        {"close", {AUDIT_KEY_END, "\"client_eof\""}, "[\"connection\",\"end\"]", "\"success\"", "4001", "2", "", ""},
        {"close", {AUDIT_KEY_END, "\"origin_eof\""}, "[\"connection\",\"end\"]", "\"success\"", "4001", "2", "", ""},
        {"close", {AUDIT_KEY_END, "\"policy_revoked\""}, "[\"connection\",\"end\",\"denied\"]", "\"success\"", "4001", "3", "2", "24"},
        {"close", {AUDIT_KEY_END, "\"origin_reset\""}, "[\"connection\",\"end\"]", "\"unknown\"", "4001", "3", "", ""},
        {"stop", {AUDIT_KEY_DETAIL, "null"}, "[\"end\"]", "\"success\"", "6002", "4", "", ""},
        {"gap", {AUDIT_KEY_DETAIL, "\"overload 12\""}, "", "\"failure\"", "0", "99", "", ""},
        {"probe", {AUDIT_KEY_DETAIL, "\"12\""}, "[\"info\"]", "", "0", "99", "", ""},
        {"checkpoint", {AUDIT_KEY_DETAIL, "\"signed\""}, "", "", "0", "99", "", ""},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        const struct kind_case *kind = &CASES[i];
        const struct member members[] = {{AUDIT_KEY_CLIENT_IP, "\"10.20.0.7\""}, kind->member};
        make_line(kind->event, members, COUNT(members));
        json_t *json = export_json(AUDIT_EXPORT_ECS);
        expect_member(json, "event.type", kind->type);
        expect_member(json, "event.outcome", kind->outcome);
        json_decref(json);
        json = export_json(AUDIT_EXPORT_OCSF);
        expect_member(json, "class_uid", kind->class);
        expect_member(json, "activity_id", kind->activity);
        expect_member(json, "action_id", kind->action);
        expect_member(json, "disposition_id", kind->disposition);
        json_decref(json);
    }
}

/* Network Activity without any end would be none. */
Test(audit_export, a_decision_on_nobody)
{
    const struct member members[] = {{AUDIT_KEY_VERDICT, "\"deny\""}, {AUDIT_KEY_PORT, "443"}};
    make_line("decision", members, COUNT(members));
    json_t *json = export_json(AUDIT_EXPORT_OCSF);
    expect_member(json, "type_uid", "99");
    expect_member(json, "unmapped", "{\"port\":443,\"verdict\":\"deny\"}");
    json_decref(json);
}

Test(audit_export, names_and_addresses)
{
    static const struct {
        const char *host, *upstream, *original;
        const char *domain, *ip;
    } CASES[] = {
        {"\"a.example\"", "\"192.0.2.1\"", "\"192.0.2.9\"", "\"a.example\"", "\"192.0.2.1\""},
        {"\"a.example\"", "null", "\"192.0.2.9\"", "\"a.example\"", "\"192.0.2.9\""},
        {"\"a.example\"", "null", "null", "\"a.example\"", ""},
        {"\"2001:db8::7\"", "null", "null", "", "\"2001:db8::7\""},
        {"\"192.0.2.7\"", "null", "\"192.0.2.9\"", "", "\"192.0.2.7\""},
        {"\"192.0.2.7x\"", "null", "null", "\"192.0.2.7x\"", ""},
        {"null", "null", "\"192.0.2.9\"", "", "\"192.0.2.9\""},
        {"null", "null", "null", "", ""},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        const struct member members[] = {{AUDIT_KEY_CLIENT_IP, "\"10.20.0.7\""},
                                         {AUDIT_KEY_HOST, CASES[i].host},
                                         {AUDIT_KEY_PORT, "443"},
                                         {AUDIT_KEY_UPSTREAM_IP, CASES[i].upstream},
                                         {AUDIT_KEY_ORIGINAL_IP, CASES[i].original}};
        make_line("decision", members, COUNT(members));
        json_t *json = export_json(AUDIT_EXPORT_ECS);
        expect_member(json, "destination.domain", CASES[i].domain);
        expect_member(json, "destination.ip", CASES[i].ip);
        json_decref(json);
        json = export_json(AUDIT_EXPORT_OCSF);
        expect_member(json, "dst_endpoint.hostname", CASES[i].domain);
        expect_member(json, "dst_endpoint.ip", CASES[i].ip);
        expect_member(json, "dst_endpoint.port", i + 1 < COUNT(CASES) ? "443" : "");
        json_decref(json);
    }
}

/* A close repeats the server name and not the version, which OCSF wants beside it. */
Test(audit_export, server_name_of_a_close)
{
    const struct member members[] = {{AUDIT_KEY_CLIENT_IP, "\"10.20.0.7\""}, {AUDIT_KEY_SNI, "\"a.example\""}};
    make_line("close", members, COUNT(members));
    json_t *json = export_json(AUDIT_EXPORT_OCSF);
    expect_member(json, "tls", "");
    expect_member(json, "unmapped.sni", "\"a.example\"");
    json_decref(json);
}

Test(audit_export, versions_of_tls)
{
    static const char *const CASES[][3] = {{"\"TLS 1.0\"", "\"1.0\"", "\"tls\""},
                                           {"\"SSL 3.0\"", "\"3.0\"", "\"ssl\""},
                                           {"\"0x7f1c\"", "\"0x7f1c\"", ""},
                                           {"\"\"", "\"\"", ""},
                                           {"\"abc 1\"", "\"1\"", ""}};
    for (size_t i = 0; i < COUNT(CASES); i++) {
        const struct member member = {AUDIT_KEY_TLS_VERSION, CASES[i][0]};
        make_line("decision", &member, 1);
        json_t *json = export_json(AUDIT_EXPORT_ECS);
        expect_member(json, "tls.version", CASES[i][1]);
        expect_member(json, "tls.version_protocol", CASES[i][2]);
        json_decref(json);
    }
}

/* Both schemas end where a signed number of 64 bits does. */
Test(audit_export, numbers_have_an_end)
{
    const struct member members[] = {{AUDIT_KEY_SEQ, "18446744073709551615"},
                                     {AUDIT_KEY_CLIENT_IP, "\"10.20.0.7\""},
                                     {AUDIT_KEY_BYTES_UP, "18446744073709551615"},
                                     {AUDIT_KEY_BYTES_DOWN, "1"},
                                     {AUDIT_KEY_DURATION_MS, "18446744073709551615"}};
    make_line("close", members, COUNT(members));
    json_t *json = export_json(AUDIT_EXPORT_ECS);
    expect_member(json, "event.sequence", "9223372036854775807");
    expect_member(json, "network.bytes", "9223372036854775807");
    expect_member(json, "event.duration", "9223372036854775807");
    json_decref(json);
    json = export_json(AUDIT_EXPORT_OCSF);
    expect_member(json, "traffic.bytes_out", "9223372036854775807");
    expect_member(json, "traffic.bytes_in", "1");
    expect_member(json, "duration", "9223372036854775807");
    json_decref(json);
}

/* Whichever value makes a line as long as it can be, there is room. */
Test(audit_export, the_longest_line)
{
    static char value[RECORD_MAX];
    for (size_t i = 0; i < COUNT(WHOLE); i++) {
        const struct member members[] = {{AUDIT_KEY_CLIENT_IP, "\"10.20.0.7\""}, {WHOLE[i].key, value}};
        if (WHOLE[i].json[0] != '"' || WHOLE[i].key == AUDIT_KEY_CHAIN)
            continue;
        make_line("decision", members, 1);
        const size_t room = RECORD_MAX - 1 - strlen(line);
        memset(value, 'x', room);
        value[0] = '"';
        memcpy(value + room - 1, "\"", 2);
        make_line("decision", members, COUNT(members));
        for (size_t format = 0; format < COUNT(FORMATS); format++)
            json_decref(export_json(FORMATS[format]));
    }
}

Test(audit_export, no_such_time)
{
    static const char *const TIMES[] = {"\"2026-02-30T23:49:17.123456Z\"", "\"2026-11-21T24:49:17.123456Z\"", "\"2026-11-21T23:60:17.123456Z\"",
                                        "\"0000-00-00T00:00:00.000000Z\""};
    for (size_t i = 0; i < COUNT(TIMES); i++) {
        const struct member member = {AUDIT_KEY_TIME, TIMES[i]};
        make_line("start", &member, 1);
        cr_expect(!export_line(AUDIT_EXPORT_ECS) && !export_line(AUDIT_EXPORT_OCSF), "%s", TIMES[i]);
    }
}

Test(audit_export, no_room)
{
    struct audit_record record;
    struct text text;
    make_line("start", NULL, 0);
    cr_assert(audit_record_read(&record, line, strlen(line)));
    for (size_t size = 1; size < 300; size++) {
        char *small = malloc(size);
        text_init(&text, small, size);
        cr_expect(!audit_export_write(&text, &record, AUDIT_EXPORT_OCSF));
        free(small);
    }
}

Test(audit_export, words)
{
    cr_expect_eq(audit_export_format_read("ecs"), AUDIT_EXPORT_ECS);
    cr_expect_eq(audit_export_format_read("ocsf"), AUDIT_EXPORT_OCSF);
    cr_expect_eq(audit_export_format_read("ECS"), AUDIT_EXPORT_NONE);
    cr_expect_eq(audit_export_format_read(""), AUDIT_EXPORT_NONE);
}
