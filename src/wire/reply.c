/* What a client is told: the bytes of HTTP replies and of TLS alerts. */
#include "wire/reply.h"

#include <string.h>

#include "base/address.h"

#define BODY_MAX 1024
#define CAUSE_MAX 100
#define HOST_MIN 24 /* a long cause gives way before a host is shorter than this */

static const char PREFIX[] = "exeat: ";

const char REPLY_ESTABLISHED[] = "HTTP/1.1 200 Connection established\r\n\r\n";

static size_t reply_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void reply_add_clean(struct text *text, const char *string, size_t max)
{
    text_add_clean(text, string, strlen(string), max);
}

/* "HOST:PORT ", with brackets around an IPv6 address, in at most `room` bytes. */
static void reply_add_host(struct text *text, const struct refusal *refusal, size_t room)
{
    char port[16];
    struct text port_text;
    struct address address;
    bool bare_v6 = address_read(&address, refusal->host, refusal->host_len) && address.family == FAMILY_V6;
    text_init(&port_text, port, sizeof(port));
    if (refusal->port > 0) {
        text_add_char(&port_text, ':');
        text_add_number(&port_text, refusal->port);
    }
    size_t frame = 2u * bare_v6 + port_text.len + 1;
    if (room <= frame)
        return;
    if (bare_v6)
        text_add_char(text, '[');
    text_add_clean(text, refusal->host, refusal->host_len, room - frame);
    if (bare_v6)
        text_add_char(text, ']');
    text_add(text, port);
    text_add_char(text, ' ');
}

/* What stands behind the host: "SENTENCE (CODE, id ID)", ": CAUSE", ": ENDING". The ending is always whole. */
static void reply_add_rest(struct text *text, const struct refusal *refusal, size_t room)
{
    char said[REPLY_PHRASE_MAX + 1];
    struct text said_text;
    size_t ending_len = refusal->ending[0] ? strlen(refusal->ending) + 2 : 0;
    room -= reply_min(room, ending_len);
    text_init(&said_text, said, sizeof(said));
    text_add(&said_text, refusal->sentence);
    text_add(&said_text, " (");
    text_add(&said_text, refusal->code);
    text_add(&said_text, ", id ");
    text_add(&said_text, refusal->id);
    text_add_char(&said_text, ')');
    text_add_clean(text, said, said_text.len, room);
    room -= reply_min(room, said_text.len);
    if (refusal->cause && room > 2) {
        text_add(text, ": ");
        reply_add_clean(text, refusal->cause, reply_min(CAUSE_MAX, room - 2));
    }
    if (ending_len > 0) {
        text_add(text, ": ");
        text_add(text, refusal->ending);
    }
}

void reply_phrase(struct text *out, const struct refusal *refusal)
{
    char rest[REPLY_PHRASE_MAX + 1];
    struct text rest_text;
    bool has_host = refusal->host && refusal->host_len > 0;
    size_t room = REPLY_PHRASE_MAX - (sizeof(PREFIX) - 1);
    text_init(&rest_text, rest, sizeof(rest));
    reply_add_rest(&rest_text, refusal, has_host ? room - HOST_MIN : room);
    text_add(out, PREFIX);
    if (has_host)
        reply_add_host(out, refusal, room - rest_text.len);
    text_add_bytes(out, rest, rest_text.len);
}

static void reply_add_proxy_status(struct text *out, const char *error, const char *details)
{
    const size_t len = strlen(details);
    text_add(out, "Proxy-Status: exeat");
    text_add(out, error[0] ? "; error=" : "");
    text_add(out, error);
    text_add(out, "; details=");
    text_add_json(out, details, len, TEXT_ESCAPE_MAX * len); /* of printable ASCII it makes what an sf-string is, too (RFC 8941 3.3.3) */
    text_add(out, "\r\n");
}

static void reply_make_body(struct text *out, const struct refusal *refusal, const struct text *phrase)
{
    text_add(out, "{\"error\":");
    text_add_json(out, phrase->at, phrase->len, TEXT_ESCAPE_MAX * phrase->len);
    text_add(out, ",\"reason\":");
    text_add_json(out, refusal->code, strlen(refusal->code), REPLY_PHRASE_MAX);
    text_add(out, ",\"id\":");
    text_add_json(out, refusal->id, strlen(refusal->id), REPLY_PHRASE_MAX);
    text_add(out, "}\n");
}

static void reply_add_body(struct text *out, const char *body, size_t len)
{
    text_add(out, "Content-Type: application/json\r\nContent-Length: ");
    text_add_number(out, len);
    text_add(out, "\r\nConnection: close\r\n\r\n");
    text_add_bytes(out, body, len);
}

void reply_refusal(struct text *out, const struct refusal *refusal)
{
    char phrase[REPLY_PHRASE_MAX + 1], body[BODY_MAX];
    struct text phrase_text, body_text;
    text_init(&phrase_text, phrase, sizeof(phrase));
    text_init(&body_text, body, sizeof(body));
    reply_phrase(&phrase_text, refusal);
    reply_make_body(&body_text, refusal, &phrase_text);
    text_add(out, "HTTP/1.1 ");
    text_add_number(out, refusal->status);
    text_add_char(out, ' ');
    text_add_bytes(out, phrase, phrase_text.len);
    text_add(out, "\r\n");
    reply_add_proxy_status(out, refusal->proxy_error, phrase + sizeof(PREFIX) - 1);
    if (refusal->status == 405)
        text_add(out, "Allow: CONNECT\r\n");
    if (refusal->retry_s > 0)
        text_format(out, "Retry-After: %u\r\n", refusal->retry_s);
    reply_add_body(out, body, body_text.len);
}

void reply_json(struct text *out, const char *body, size_t len)
{
    text_add(out, "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n");
    reply_add_body(out, body, len);
}

void reply_alert(uint8_t out[REPLY_ALERT_SIZE], enum tls_alert alert)
{
    const uint8_t record[REPLY_ALERT_SIZE] = {21, 3, 3, 0, 2, 2 /* fatal */, (uint8_t)alert};
    memcpy(out, record, sizeof(record));
}
