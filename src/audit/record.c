/* One audit record as one JSON line (exeat-audit(5)): the only writer of the schema. */
#include "audit/record.h"

#include <assert.h>
#include <string.h>

#include "audit/audit_key.h"
#include "base/clock.h"

#define MARK "..."    /* of what was cut */
#define FRAME_CHARS 5 /* around a string: two quotes and the mark */

/* How many characters a string may take in a record, between its quotes and escaped as it is there. Names and words of our own: */
enum {
    CHARS_WORD = 32,
    CHARS_NAME = 64,
    CHARS_INSTANCE = 128,
    CHARS_PLACE = 256,
    CHARS_DIGEST = 80,
};

/* … and what comes from outside. A name of 253 bytes fits whole. */
enum {
    CHARS_HOST = RECORD_HOST_CHARS,
    CHARS_AGENT = 640,
    CHARS_USER = RECORD_USER_CHARS,
    CHARS_ALPN = RECORD_ALPN_CHARS,
    CHARS_DETAIL = 1500,
};

enum {
    CHARS_OWN = 8 * CHARS_WORD + 5 * CHARS_NAME + CHARS_INSTANCE + CHARS_PLACE + CHARS_DIGEST,
    CHARS_OUTSIDE = 2 * CHARS_HOST + CHARS_AGENT + CHARS_USER + RECORD_ALPN_MAX * CHARS_ALPN + CHARS_DETAIL,
    CHARS_FRAMES = (28 + RECORD_ALPN_MAX) * FRAME_CHARS,
    CHARS_REST = 1000, /* the keys (444), the numbers (125), addresses and the time (304), true, false and the punctuation of alpn */
};
static_assert(CHARS_OWN + CHARS_OUTSIDE + CHARS_FRAMES + CHARS_REST <= RECORD_TEXT_MAX, "a record can outgrow its line");

/* clang-format off */
static const char *const EVENTS[] = {
    [EVENT_START] = "start", [EVENT_STOP] = "stop", [EVENT_RELOAD] = "reload", [EVENT_DECISION] = "decision", [EVENT_CLOSE] = "close",
    [EVENT_ROTATE] = "rotate", [EVENT_RECOVERED] = "recovered", [EVENT_GAP] = "gap", [EVENT_PROBE] = "probe", [EVENT_CHECKPOINT] = "checkpoint",
};
/* clang-format on */

const char *record_event_text(enum record_event event)
{
    assert((size_t)event < sizeof(EVENTS) / sizeof(EVENTS[0]));
    return EVENTS[event];
}

static void record_key(struct text *out, enum audit_key key)
{
    text_add_bytes(out, AUDIT_KEYS[key].text, AUDIT_KEYS[key].len);
}

static void record_null(struct text *out, enum audit_key key)
{
    text_add_bytes(out, AUDIT_KEYS[key].text, AUDIT_KEYS[key].len + strlen("null"));
}

static void record_bytes(struct text *out, enum audit_key key, const struct bytes *bytes, size_t chars)
{
    if (bytes->at == NULL) {
        record_null(out, key);
        return;
    }
    record_key(out, key);
    text_add_json(out, bytes->at, bytes->len, chars);
}

static void record_string(struct text *out, enum audit_key key, const char *string, size_t chars)
{
    const struct bytes bytes = {string, string ? strlen(string) : 0};
    record_bytes(out, key, &bytes, chars);
}

static size_t record_escaped_max(char byte)
{
    return byte >= 0x20 && byte <= 0x7e && byte != '"' && byte != '\\' ? 1 : TEXT_ESCAPE_MAX;
}

/* The longest end of a place that fits behind a mark, whatever its bytes need to be escaped. */
static const char *record_place_end(const char *place, size_t len)
{
    size_t at = len, taken = strlen(MARK);
    while (at > 0 && (taken += record_escaped_max(place[at - 1])) <= CHARS_PLACE)
        at--;
    while (at > 0 && (place[at] & 0xc0) == 0x80) /* the rest of a character */
        at++;
    return place + at;
}

/* FILE:LINE keeps its end, where the line number is. */
static void record_place(struct text *out, enum audit_key key, const char *place)
{
    char cut[CHARS_PLACE + 1];
    struct text text;
    const size_t len = place ? strlen(place) : 0;
    const char *end = len > CHARS_PLACE || text_json_plain(place, len) < len ? record_place_end(place, len) : place;
    if (end == place) {
        record_string(out, key, place, CHARS_PLACE);
        return;
    }
    text_init(&text, cut, sizeof(cut));
    text_add(&text, MARK);
    text_add(&text, end);
    record_string(out, key, cut, CHARS_PLACE);
}

static void record_number(struct text *out, enum audit_key key, bool known, uint64_t number)
{
    if (!known) {
        record_null(out, key);
        return;
    }
    record_key(out, key);
    text_add_number(out, number);
}

static void record_port(struct text *out, enum audit_key key, uint16_t port)
{
    record_number(out, key, port != 0, port);
}

static void record_address(struct text *out, enum audit_key key, const struct address *address)
{
    char buf[ADDRESS_TEXT_MAX];
    if (!address_is_set(address)) {
        record_null(out, key);
        return;
    }
    record_key(out, key);
    text_add_word(out, address_text(address, buf));
}

static void record_head(struct text *out, const struct record *record)
{
    char time[CLOCK_TEXT_MAX];
    clock_text(record->time_us, time);
    text_add_bytes(out, AUDIT_KEYS[AUDIT_KEY_TIME].text + 1, AUDIT_KEYS[AUDIT_KEY_TIME].len - 1); /* the first: without the comma */
    text_add_word(out, time);
    record_string(out, AUDIT_KEY_INSTANCE, record->instance, CHARS_INSTANCE);
    record_key(out, AUDIT_KEY_EVENT);
    text_add_word(out, record_event_text(record->event));
    record_string(out, AUDIT_KEY_ID, record->id, CHARS_WORD);
}

static void record_who(struct text *out, const struct record *record)
{
    record_string(out, AUDIT_KEY_LISTENER, record->listener, CHARS_NAME);
    record_string(out, AUDIT_KEY_MODE, record->mode, CHARS_WORD);
    record_address(out, AUDIT_KEY_CLIENT_IP, &record->client_ip);
    record_port(out, AUDIT_KEY_CLIENT_PORT, record->client_port);
    record_address(out, AUDIT_KEY_PEER_IP, &record->peer_ip);
    record_string(out, AUDIT_KEY_CLIENT_GROUP, record->client_group, CHARS_NAME);
    record_bytes(out, AUDIT_KEY_CLIENT_USER, &record->client_user, CHARS_USER);
    record_bytes(out, AUDIT_KEY_USER_AGENT, &record->user_agent, CHARS_AGENT);
}

/* Of more names than there is room for the last that is written is the mark. */
static void record_alpn(struct text *out, const struct record *record)
{
    const struct bytes mark = {MARK, strlen(MARK)};
    const bool is_cut = record->alpn_count > RECORD_ALPN_MAX;
    const size_t count = is_cut ? RECORD_ALPN_MAX : record->alpn_count;
    if (!record->has_hello) {
        record_null(out, AUDIT_KEY_ALPN);
        return;
    }
    record_key(out, AUDIT_KEY_ALPN);
    text_add_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        const struct bytes *name = is_cut && i == count - 1 ? &mark : &record->alpn[i];
        if (i > 0)
            text_add_char(out, ',');
        text_add_json(out, name->at ? name->at : "", name->len, CHARS_ALPN);
    }
    text_add_char(out, ']');
}

static void record_where(struct text *out, const struct record *record)
{
    record_bytes(out, AUDIT_KEY_HOST, &record->host, CHARS_HOST);
    record_port(out, AUDIT_KEY_PORT, record->port);
    record_bytes(out, AUDIT_KEY_SNI, &record->sni, CHARS_HOST);
    record_alpn(out, record);
    record_string(out, AUDIT_KEY_JA4, record->has_hello ? record->ja4 : NULL, CHARS_NAME);
    record_key(out, AUDIT_KEY_ECH);
    text_add(out, !record->has_hello ? "null" : record->ech ? "true" : "false");
    record_string(out, AUDIT_KEY_TLS_VERSION, record->has_hello ? record->tls_version : NULL, CHARS_WORD);
    record_address(out, AUDIT_KEY_ORIGINAL_IP, &record->original_ip);
}

static void record_judgement(struct text *out, const struct record *record)
{
    record_string(out, AUDIT_KEY_VERDICT, record->verdict, CHARS_WORD);
    record_string(out, AUDIT_KEY_CLASS, record->class, CHARS_WORD);
    record_string(out, AUDIT_KEY_REASON, record->reason, CHARS_WORD);
    record_string(out, AUDIT_KEY_RULE, record->rule, CHARS_NAME);
    record_place(out, AUDIT_KEY_RULE_AT, record->rule_at);
    record_string(out, AUDIT_KEY_POLICY, record->policy, CHARS_DIGEST);
}

static void record_way(struct text *out, const struct record *record)
{
    record_string(out, AUDIT_KEY_ROUTE, record->route, CHARS_NAME);
    record_address(out, AUDIT_KEY_EGRESS_IP, &record->egress_ip);
    record_address(out, AUDIT_KEY_EGRESS_PUBLIC_IP, &record->egress_public_ip);
    record_port(out, AUDIT_KEY_EGRESS_PORT, record->egress_port);
    record_address(out, AUDIT_KEY_UPSTREAM_IP, &record->upstream_ip);
    record_port(out, AUDIT_KEY_UPSTREAM_PORT, record->upstream_port);
    record_number(out, AUDIT_KEY_DNS_MS, record->has_dns_ms, record->dns_ms);
    record_number(out, AUDIT_KEY_CONNECT_MS, record->has_connect_ms, record->connect_ms);
}

static void record_end(struct text *out, const struct record *record)
{
    record_number(out, AUDIT_KEY_BYTES_UP, record->has_close, record->bytes_up);
    record_number(out, AUDIT_KEY_BYTES_DOWN, record->has_close, record->bytes_down);
    record_number(out, AUDIT_KEY_DURATION_MS, record->has_close, record->duration_ms);
    record_string(out, AUDIT_KEY_END, record->has_close ? record->end : NULL, CHARS_WORD);
    record_bytes(out, AUDIT_KEY_DETAIL, &record->detail, CHARS_DETAIL);
}

bool record_write(struct text *out, const struct record *record)
{
    record_head(out, record);
    record_who(out, record);
    record_where(out, record);
    record_judgement(out, record);
    record_way(out, record);
    record_end(out, record);
    return !out->cut;
}
