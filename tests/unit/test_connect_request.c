/* Heads of real clients, of other protocols, and of people who look for two readings of one request. */
#include <criterion/criterion.h>
#include <string.h>

#include "data.h"
#include "policy/hostname.h"
#include "wire/connect_request.h"

#define HEAD_MAX 16384

/* Every prefix is a buffer of its own, so that a read past its end is seen by the sanitizer. */
static enum request_result feed_steps(struct connect_request *request, const uint8_t *bytes, size_t len, size_t step)
{
    enum request_result result = REQUEST_MORE;
    connect_request_init(request, HEAD_MAX);
    for (size_t at = 0; at < len && result == REQUEST_MORE;) {
        at = step < len - at ? at + step : len;
        uint8_t *copy = malloc(at);
        cr_assert(copy != NULL);
        memcpy(copy, bytes, at);
        result = connect_request_feed(request, copy, at);
        free(copy);
    }
    return result;
}

static enum request_result feed_text(struct connect_request *request, const char *text)
{
    connect_request_init(request, HEAD_MAX);
    return connect_request_feed(request, (const uint8_t *)text, strlen(text));
}

static bool span_is(const char *bytes, struct span span, const char *expected)
{
    return span.len == strlen(expected) && memcmp(bytes + span.at, expected, span.len) == 0;
}

/* The bytes of a row: as they are, in steps, or with one byte repeated. */
static uint8_t *row_bytes(const json_t *row, size_t *len)
{
    const json_t *steps = json_object_get(row, "steps"), *repeat = json_object_get(row, "repeat");
    size_t prefix_len, suffix_len, step_len, i;
    json_t *step;
    if (json_is_string(json_object_get(row, "raw_b64")))
        return data_base64(data_text(row, "raw_b64"), len);
    if (json_is_object(repeat)) {
        uint8_t *prefix = data_base64(data_text(repeat, "prefix_b64"), &prefix_len);
        uint8_t *suffix = data_base64(data_text(repeat, "suffix_b64"), &suffix_len);
        size_t count = (size_t)json_integer_value(json_object_get(repeat, "count"));
        *len = prefix_len + count + suffix_len;
        prefix = realloc(prefix, *len);
        cr_assert(prefix != NULL);
        memset(prefix + prefix_len, data_text(repeat, "byte")[0], count);
        memcpy(prefix + prefix_len + count, suffix, suffix_len);
        free(suffix);
        return prefix;
    }
    uint8_t *all = NULL;
    *len = 0;
    json_array_foreach(steps, i, step) {
        uint8_t *part = data_base64(data_text(step, "send_b64"), &step_len);
        all = realloc(all, *len + step_len + 1);
        cr_assert(all != NULL);
        memcpy(all + *len, part, step_len);
        *len += step_len;
        free(part);
    }
    return all;
}

/* True when `accept` holds one of the words, which are separated by blanks. */
static bool row_accepts(const json_t *row, const char *words)
{
    json_t *word;
    size_t i;
    json_array_foreach(json_object_get(row, "accept"), i, word) {
        if (strstr(words, json_string_value(word)))
            return true;
    }
    return false;
}

static bool same_request(const struct connect_request *a, const struct connect_request *b)
{
    return a->fault == b->fault && a->head_len == b->head_len && a->minor == b->minor && a->port == b->port &&
           a->bracketed == b->bracketed && memcmp(&a->method, &b->method, sizeof(a->method)) == 0 &&
           memcmp(&a->target, &b->target, sizeof(a->target)) == 0 && memcmp(&a->host, &b->host, sizeof(a->host)) == 0 &&
           memcmp(&a->user_agent, &b->user_agent, sizeof(a->user_agent)) == 0 && a->user_len == b->user_len &&
           memcmp(a->user, b->user, a->user_len) == 0;
}

/* What the policy says later is not asked here: a CONNECT to a host that is one may become a tunnel, a denial or a failure to connect. */
static void expect_row(const json_t *row, const uint8_t *bytes, size_t len)
{
    struct connect_request request, parts;
    struct host host = {0};
    const char *id = data_text(row, "id"), *name = data_text(row, "name");
    connect_request_init(&request, HEAD_MAX);
    enum request_result result = connect_request_feed(&request, bytes, len);
    bool good = result == REQUEST_CONNECT && host_read(&host, (const char *)bytes + request.host.at, request.host.len, request.bracketed) != HOST_BAD;
    if (good)
        cr_expect(row_accepts(row, "tunnel tunnel-closed denied gateway"), "%s %s was taken", id, name);
    else if (result == REQUEST_MORE)
        cr_expect(row_accepts(row, "bad-request timeout"), "%s %s is not whole", id, name);
    else
        cr_expect(row_accepts(row, "bad-request"), "%s %s was refused: %s", id, name, request.fault ? request.fault : "");
    bool control_bytes = strcmp(data_text(row, "group"), "log-injection") == 0; /* right to refuse, too */
    if (strcmp(data_text(row, "expect"), "tunnel") == 0 && !control_bytes)
        cr_expect(good, "%s %s should be served: %s", id, name, request.fault ? request.fault : "");
    cr_expect_eq(result == REQUEST_BAD, request.fault != NULL, "%s fault", id);
    static const size_t steps[] = {1, 2, 7, 61};
    for (size_t i = len > HEAD_MAX ? 3 : 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        cr_expect_eq(feed_steps(&parts, bytes, len, steps[i]), result, "%s in steps of %zu", id, steps[i]);
        cr_expect(same_request(&request, &parts), "%s differs in steps of %zu", id, steps[i]);
    }
}

Test(connect_request, vectors_whole_and_in_steps, .timeout = 120)
{
    FILE *file = data_open("vectors/connect.jsonl");
    unsigned rows = 0;
    for (json_t *row; (row = data_next(file)) != NULL; rows++) {
        size_t len;
        uint8_t *bytes = row_bytes(row, &len);
        expect_row(row, bytes, len);
        free(bytes);
        json_decref(row);
    }
    fclose(file);
    cr_expect(rows > 200, "only %u rows", rows);
}

Test(connect_request, fields_of_a_connect)
{
    static const char head[] = "\r\nCONNECT [2001:DB8::1]:8443 HTTP/1.0\r\nuser-agent: \t curl/8 \t\r\nHOST: [2001:db8::1]\r\n"
                               "Proxy-Authorization: basic am9iOnRva2Vu\r\n\r\npayload";
    struct connect_request request;
    cr_assert_eq(feed_text(&request, head), REQUEST_CONNECT, "%s", request.fault);
    cr_expect(span_is(head, request.method, "CONNECT") && span_is(head, request.target, "[2001:DB8::1]:8443"));
    cr_expect(span_is(head, request.host, "2001:DB8::1") && request.bracketed && request.port == 8443 && request.minor == 0);
    cr_expect(span_is(head, request.user_agent, "curl/8"));
    cr_expect(request.user_len == 3 && memcmp(request.user, "job", 3) == 0);
    cr_expect_eq(request.head_len, sizeof(head) - 1 - strlen("payload"));
}

Test(connect_request, other_methods_are_told_so)
{
    static const char *const rows[] = {
        "GET http://example.test/ HTTP/1.1\r\nHost: example.test\r\n\r\n",
        "POST http://example.test/ HTTP/1.1\r\nHost: example.test\r\nContent-Length: 5\r\n\r\nhello",
        "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        "connect example.test:443 HTTP/1.1\r\n\r\n",
        "GET /denials HTTP/1.1\r\n\r\n",
        "GET /denials/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /denials?x HTTP/1.1\r\nHost: x\r\n\r\n",
        "HEAD /denials HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://x/denials HTTP/1.1\r\nHost: x\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct connect_request request;
        cr_expect_eq(feed_text(&request, rows[i]), REQUEST_METHOD, "%s", rows[i]);
        cr_expect(request.target.len > 0);
    }
}

Test(connect_request, denials)
{
    static const char head[] = "GET /denials HTTP/1.1\r\nHost: exeat:3128\r\n\r\n";
    struct connect_request request;
    cr_assert_eq(feed_text(&request, head), REQUEST_DENIALS);
    cr_expect(span_is(head, request.host, "exeat:3128"));
    cr_expect_eq(feed_text(&request, "GET /denials HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), REQUEST_BAD);
    cr_expect_eq(feed_text(&request, "GET /denials HTTP/1.1\r\nHost:\r\n\r\n"), REQUEST_BAD);
    cr_expect_eq(feed_text(&request, "GET /denials HTTP/2.0\r\nHost: a\r\n\r\n"), REQUEST_BAD);
}

Test(connect_request, other_tongues_are_named_at_once)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *named;
    } rows[] = {
        {"\x16\x03\x01", 3, "TLS"},
        {"\x04\x01", 2, "SOCKS4"},
        {"\x05\x01", 2, "SOCKS5"},
        {"PRI * HTTP/2.0\r\n", 16, "HTTP/2"},
        {"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", 36, "PROXY header"},
        {"PROXY UNKNOWN\r\n", 15, "PROXY header"},
        {"\r\n\r\n\0", 5, "PROXY header"},
        {"SSH-2.0-x\r\n", 11, "not HTTP"},
        {"<?xml", 5, "not HTTP"},
        {"\0", 1, "not HTTP"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct connect_request request;
        connect_request_init(&request, HEAD_MAX);
        cr_expect_eq(connect_request_feed(&request, (const uint8_t *)rows[i].bytes, rows[i].len), REQUEST_BAD, "row %zu", i);
        cr_assert(request.fault != NULL);
        cr_expect(strstr(request.fault, rows[i].named) != NULL, "row %zu: %s", i, request.fault);
    }
}

Test(connect_request, faults_are_told_as_early_as_they_are_sure)
{
    static const struct {
        const char *head, *fault;
    } rows[] = {
        {"CONNECT 2001:db8::1:443 HTTP/1.1\r\n", "[2001:db8::1]:443"},
        {"CONNECT ::1 HTTP/1.1\r\n", "[2001:db8::1]:443"},
        {"CONNECT https://example.test/ HTTP/1.1\r\n", "not a URL"},
        {"CONNECT a:b@example.test:443 HTTP/1.1\r\n", "user name"},
        {"CONNECT example.test HTTP/1.1\r\n", "port is missing"},
        {"CONNECT example.test:0 HTTP/1.1\r\n", "1 to 65535"},
        {"CONNECT example.test:0443 HTTP/1.1\r\n", "1 to 65535"},
        {"CONNECT example.test:443 HTTP/1.1\n", "LF"},
        {"CONNECT exam\x01", "not printable"},
        {"CONNECT a:1 HTTP/1.1\r\nX: \x01", "control byte"},
        {"CONNECT a:1 HTTP/1.1\r\nX: y\r\n folded\r\n", "folding"},
        {"CONNECT a:1 HTTP/1.1\r\nX : y\r\n", "NAME: VALUE"},
        {"CONNECT a:1 HTTP/1.1\r\n: y\r\n", "NAME: VALUE"},
        {"CONNECT a:1 HTTP/1.1\r\nHost: b:1:2\r\n", "Host header must be"},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nhost: a\r\n", "more than one"},
        {"CONNECT a:1 HTTP/1.1\r\nContent-Length: 00\r\n", "Content-Length"},
        {"CONNECT a:1 HTTP/1.1\r\nTransfer-Encoding: identity\r\n", "Transfer-Encoding"},
        {"CONNECT a:1 HTTP/2.0\r\n", "HTTP/1.1 and HTTP/1.0"},
        {"\r\n\r\n\r\n", "empty lines"},
        {"CONNECT a:1 HTTP/1.1\rX", "CR"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct connect_request request;
        cr_expect_eq(feed_text(&request, rows[i].head), REQUEST_BAD, "%s", rows[i].head);
        cr_expect(request.fault && strstr(request.fault, rows[i].fault), "%s: %s", rows[i].head, request.fault ? request.fault : "no fault");
    }
}

Test(connect_request, host_header_may_be_written_otherwise)
{
    static const char *const rows[] = {
        "CONNECT a.test:443 HTTP/1.1\r\n\r\n",
        "CONNECT a.test:443 HTTP/1.1\r\nHost: A.Test.\r\n\r\n",
        "CONNECT a.test.:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n",
        "CONNECT a.test:443 HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct connect_request request;
        cr_expect_eq(feed_text(&request, rows[i]), REQUEST_CONNECT, "%s: %s", rows[i], request.fault ? request.fault : "");
    }
}

static void expect_user_bytes(const char *authorization, const char *user, size_t len)
{
    char head[1024];
    struct connect_request request;
    snprintf(head, sizeof(head), "CONNECT a:1 HTTP/1.1\r\nProxy-Authorization: %s\r\n\r\n", authorization);
    cr_expect_eq(feed_text(&request, head), REQUEST_CONNECT);
    cr_expect(request.user_len == len && memcmp(request.user, user, len) == 0, "%s gave %zu: %.*s", authorization, request.user_len,
              (int)request.user_len, request.user);
    cr_expect(memmem(&request, sizeof(request), "token", 5) == NULL, "a password was kept");
}

static void expect_user(const char *authorization, const char *user)
{
    expect_user_bytes(authorization, user, strlen(user));
}

Test(connect_request, only_the_name_of_a_basic_user_is_kept)
{
    expect_user("Basic am9iOnRva2Vu", "job");   /* job:token */
    expect_user("BASIC   am9iOnRva2Vu", "job");
    expect_user("Basic am9iOg", "job");         /* without padding */
    expect_user("Basic am9iOg!!", "job");       /* broken behind the colon */
    expect_user("Basic am!iOnRva2Vu", "");      /* broken before it */
    expect_user("Basic dG9rZW4=", "");          /* no colon: it may be all secret */
    expect_user("Basic OnRva2Vu", "");          /* an empty name */
    expect_user("Bearer am9iOnRva2Vu", "");
    expect_user("Basic", "");
    expect_user("Basic ", "");
}

Test(connect_request, a_user_may_hold_any_byte)
{
    expect_user_bytes("Basic YQBiOnRva2Vu", "a\0b", 3);
    expect_user_bytes("Basic AAA6dG9rZW4=", "\0\0", 2);
    expect_user_bytes("Basic /w0KOnRva2Vu", "\xff\r\n", 3);
}

/* QUFB is AAA, Onh4 is :xx */
Test(connect_request, a_long_user_is_kept_as_far_as_shows_that_it_is_long)
{
    char authorization[400], longest[REQUEST_USER_MAX];
    memset(longest, 'A', sizeof(longest));
    for (size_t triples = 63; triples <= 70; triples++) {
        strcpy(authorization, "Basic ");
        for (size_t i = 0; i < triples; i++)
            strcat(authorization, "QUFB");
        strcat(authorization, "Onh4");
        expect_user_bytes(authorization, longest, 3 * triples < REQUEST_USER_MAX ? 3 * triples : REQUEST_USER_MAX);
    }
}

Test(connect_request, head_is_bounded_to_the_byte)
{
    static const char head[] = "CONNECT a:1 HTTP/1.1\r\nX: y\r\n\r\n";
    const uint8_t *bytes = (const uint8_t *)head;
    size_t len = sizeof(head) - 1;
    struct connect_request request;
    connect_request_init(&request, len);
    cr_expect_eq(connect_request_feed(&request, bytes, len), REQUEST_CONNECT);
    connect_request_init(&request, len - 1);
    cr_expect_eq(connect_request_feed(&request, bytes, len), REQUEST_TOO_LARGE);
    connect_request_init(&request, len - 1);
    cr_expect_eq(connect_request_feed(&request, bytes, len - 2), REQUEST_MORE);
    cr_expect_eq(connect_request_feed(&request, bytes, len - 1), REQUEST_TOO_LARGE, "no more could be kept");
}
