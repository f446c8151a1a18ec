/* What a client is told: the bytes of HTTP replies (RFC 9110, RFC 9209) and of TLS alerts. */
#ifndef EXEAT_WIRE_REPLY_H
#define EXEAT_WIRE_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define REPLY_MAX 2048
#define REPLY_PHRASE_MAX 200

struct refusal {
    unsigned status;         /* 400 to 504 */
    const char *code;        /* the reason code */
    const char *proxy_error; /* RFC 9209 error type; "" leaves it out */
    const char *id;          /* ULID of the session */
    const char *host;        /* as the client wrote it, any bytes; NULL: none known */
    size_t host_len;
    unsigned port;        /* 0: none known */
    const char *sentence; /* "is not allowed"; stands behind HOST:PORT when there is a host */
    const char *cause;    /* the true cause, printed behind the id: "no route to host"; NULL: none */
    unsigned retry_s;     /* Retry-After; 0: nobody knows */
    const char *ending;   /* "connection refused" …: the phrase ends in exactly this; "" for none */
};

/* The whole reply: `HTTP/1.1 403 exeat: evil.example:443 is not allowed (default_deny, id 01K…)`, Proxy-Status, JSON body, Connection: close.
 * The phrase is printable ASCII, at most REPLY_PHRASE_MAX bytes; a long host or cause is shortened in its middle, the ending never is. 405 gets
 * `Allow: CONNECT`. */
void reply_refusal(struct text *out, const struct refusal *refusal);

/* The phrase alone ("exeat: …"). For tests. */
void reply_phrase(struct text *out, const struct refusal *refusal);

/* `HTTP/1.1 200 Connection established`, head alone. */
extern const char REPLY_ESTABLISHED[];

/* A 200 with a JSON body, no-store, Connection: close; `body` is whole JSON. */
void reply_json(struct text *out, const char *body, size_t len);

/* A fatal TLS alert record (RFC 8446 6): 7 bytes. */
#define REPLY_ALERT_SIZE 7
enum tls_alert { ALERT_ACCESS_DENIED = 49, ALERT_DECODE_ERROR = 50, ALERT_UNRECOGNIZED_NAME = 112 };
void reply_alert(uint8_t out[REPLY_ALERT_SIZE], enum tls_alert alert);

#endif
