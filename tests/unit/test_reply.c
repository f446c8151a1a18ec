/* What clients print of a refusal, held against the whole table of reasons and what the Buildkite agent retries. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

#include "policy/reason.h"
#include "wire/reply.h"

#define ID "01KAMBD6V8V4JZ5F6J3F2Q9X7T"

/* A refusal as the session makes one from a row of the table. */
static struct refusal refusal_of(enum reason reason)
{
    const struct reason_row *row = reason_row(reason);
    struct refusal refusal = {.status = row->status,
                              .code = row->code,
                              .proxy_error = row->proxy_error,
                              .id = ID,
                              .host = "evil.example",
                              .host_len = strlen("evil.example"),
                              .port = 443,
                              .sentence = row->sentence,
                              .ending = reason_ending_text(row->ending)};
    return refusal;
}

static const char *phrase_of(const struct refusal *refusal)
{
    static char buffer[REPLY_MAX];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    reply_phrase(&text, refusal);
    return buffer;
}

static const char *reply_of(const struct refusal *refusal)
{
    static char buffer[REPLY_MAX];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    reply_refusal(&text, refusal);
    cr_assert(!text.cut, "the reply does not fit");
    return buffer;
}

static bool ends_in(const char *text, const char *ending)
{
    size_t len = strlen(text), ending_len = strlen(ending);
    return len >= ending_len && strcmp(text + len - ending_len, ending) == 0;
}

Test(reply, phrases_as_documented)
{
    struct refusal refusal = refusal_of(REASON_DEFAULT_DENY);
    cr_expect_str_eq(phrase_of(&refusal), "exeat: evil.example:443 is not allowed (default_deny, id " ID ")");
    refusal = refusal_of(REASON_CONNECT_FAILED);
    refusal.cause = "no route to host";
    cr_expect_str_eq(phrase_of(&refusal),
                     "exeat: evil.example:443 cannot be reached (connect_failed, id " ID "): no route to host: connection refused");
    refusal.cause = NULL;
    cr_expect_str_eq(phrase_of(&refusal), "exeat: evil.example:443 cannot be reached (connect_failed, id " ID "): connection refused");
    refusal = refusal_of(REASON_BAD_REQUEST);
    refusal.host = NULL;
    refusal.cause = "the port is missing: CONNECT takes HOST:PORT";
    cr_expect_str_eq(phrase_of(&refusal), "exeat: bad request (bad_request, id " ID "): the port is missing: CONNECT takes HOST:PORT");
    refusal = refusal_of(REASON_ADDRESS_LITERAL);
    refusal.host = "2001:db8::1";
    refusal.host_len = strlen(refusal.host);
    cr_expect_str_eq(phrase_of(&refusal), "exeat: [2001:db8::1]:443 is an address: ask for a name (address_literal, id " ID ")");
    refusal.port = 0;
    cr_expect_str_eq(phrase_of(&refusal), "exeat: [2001:db8::1] is an address: ask for a name (address_literal, id " ID ")");
}

Test(reply, the_agent_retries_what_may_pass_and_nothing_else)
{
    /* The texts at the end of which buildkite-agent tries again (its api/retryable.go). */
    static const char *const retried[] = {"connection refused", "connection reset by peer", "connection timed out", "no such host",
                                          "remote error: handshake failure", "unexpected EOF", "EOF", "http2: client connection lost"};
    for (int reason = 0; reason < REASON_COUNT; reason++) {
        struct refusal refusal = refusal_of((enum reason)reason);
        bool retry = false;
        if (refusal.status < 400)
            continue;
        for (size_t i = 0; i < sizeof(retried) / sizeof(retried[0]); i++)
            retry = retry || ends_in(phrase_of(&refusal), retried[i]);
        cr_expect_eq(retry, refusal.status >= 500, "%s", phrase_of(&refusal));
    }
}

Test(reply, a_long_host_is_shortened_in_its_middle)
{
    char host[300], cause[300];
    memset(host, 'a', sizeof(host));
    memcpy(host, "first", 5);
    memcpy(host + sizeof(host) - 4, "last", 4);
    memset(cause, 'c', sizeof(cause) - 1);
    cause[sizeof(cause) - 1] = '\0';
    for (int reason = 0; reason < REASON_COUNT; reason++) {
        struct refusal refusal = refusal_of((enum reason)reason);
        refusal.host = host;
        refusal.host_len = sizeof(host);
        for (int with_cause = 0; with_cause < 2; with_cause++) {
            refusal.cause = with_cause ? cause : NULL;
            const char *phrase = phrase_of(&refusal);
            cr_expect_leq(strlen(phrase), REPLY_PHRASE_MAX, "%s", phrase);
            cr_expect(strncmp(phrase, "exeat: first", 12) == 0 && strstr(phrase, "last:443 "), "%s", phrase);
            cr_expect(strstr(phrase, refusal.sentence) && strstr(phrase, ID) && ends_in(phrase, refusal.ending), "%s", phrase);
        }
    }
}

Test(reply, hosts_cannot_break_out)
{
    static const char host[] = "a\r\nX: y\"\\\x1b[2J\xff";
    struct refusal refusal = refusal_of(REASON_DEFAULT_DENY);
    refusal.host = host;
    refusal.host_len = sizeof(host) - 1;
    const char *reply = reply_of(&refusal);
    cr_expect(strstr(reply, "403 exeat: a??X: y\"\\?[2J?:443 is not allowed"), "%s", reply);
    cr_expect(strstr(reply, "details=\"a??X: y\\\"\\\\?[2J?:443 is not allowed"), "%s", reply);
    cr_expect(strstr(reply, "{\"error\":\"exeat: a??X: y\\\"\\\\?[2J?:443 is not allowed"), "%s", reply);
}

static const char *body_of(const char *reply)
{
    const char *end = strstr(reply, "\r\n\r\n");
    cr_assert(end != NULL);
    return end + 4;
}

Test(reply, whole_replies_for_every_reason)
{
    for (int reason = 0; reason < REASON_COUNT; reason++) {
        struct refusal refusal = refusal_of((enum reason)reason);
        char expected[REPLY_MAX + 64];
        size_t length = 0;
        if (refusal.status < 400)
            continue;
        const char *reply = reply_of(&refusal), *body = body_of(reply);
        snprintf(expected, sizeof(expected), "HTTP/1.1 %u %s\r\n", refusal.status, phrase_of(&refusal));
        cr_expect(strncmp(reply, expected, strlen(expected)) == 0, "%s", reply);
        snprintf(expected, sizeof(expected), "\r\nProxy-Status: exeat; error=%s; details=\"", refusal.proxy_error);
        cr_expect(strstr(reply, expected), "%s", reply);
        cr_expect(strstr(reply, "\r\nConnection: close\r\n") && strstr(reply, "\r\nContent-Type: application/json\r\n"));
        cr_expect_eq(strstr(reply, "\r\nAllow: CONNECT\r\n") != NULL, refusal.status == 405);
        cr_assert_eq(sscanf(strstr(reply, "\r\nContent-Length: "), " Content-Length: %zu", &length), 1);
        cr_expect_eq(length, strlen(body));
        json_t *json = json_loads(body, 0, NULL);
        cr_assert(json != NULL, "%s", body);
        cr_expect_str_eq(json_string_value(json_object_get(json, "error")), phrase_of(&refusal));
        cr_expect_str_eq(json_string_value(json_object_get(json, "reason")), refusal.code);
        cr_expect_str_eq(json_string_value(json_object_get(json, "id")), ID);
        json_decref(json);
    }
}

Test(reply, when_to_come_back_is_said_where_it_is_known)
{
    struct refusal refusal = refusal_of(REASON_QUOTA);
    cr_expect(strstr(reply_of(&refusal), "Retry-After") == NULL);
    refusal.retry_s = 86401;
    cr_expect(strstr(reply_of(&refusal), "\r\nRetry-After: 86401\r\n"));
}

Test(reply, no_error_type_is_left_out)
{
    struct refusal refusal = refusal_of(REASON_BAD_REQUEST);
    refusal.proxy_error = "";
    cr_expect(strstr(reply_of(&refusal), "\r\nProxy-Status: exeat; details=\""));
}

Test(reply, json_and_established)
{
    char buffer[REPLY_MAX];
    struct text text;
    text_init(&text, buffer, sizeof(buffer));
    reply_json(&text, "{\"denials\":[]}", 14);
    cr_expect(strncmp(buffer, "HTTP/1.1 200 ", 13) == 0 && strstr(buffer, "\r\nContent-Length: 14\r\n"));
    cr_expect(strstr(buffer, "\r\nConnection: close\r\n"));
    cr_expect(strstr(buffer, "\r\nCache-Control: no-store\r\n"));
    cr_expect_str_eq(body_of(buffer), "{\"denials\":[]}");
    cr_expect_str_eq(body_of(REPLY_ESTABLISHED), "");
    cr_expect(strncmp(REPLY_ESTABLISHED, "HTTP/1.1 200 ", 13) == 0);
}

Test(reply, alerts)
{
    static const uint8_t expected[REPLY_ALERT_SIZE] = {0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x31};
    uint8_t alert[REPLY_ALERT_SIZE];
    reply_alert(alert, ALERT_ACCESS_DENIED);
    cr_expect_arr_eq(alert, expected, sizeof(expected));
    reply_alert(alert, ALERT_DECODE_ERROR);
    cr_expect_eq(alert[6], 50);
    reply_alert(alert, ALERT_UNRECOGNIZED_NAME);
    cr_expect_eq(alert[6], 112);
}
