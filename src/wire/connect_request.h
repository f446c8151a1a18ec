/* The head of a request on a connect listener: bytes in, a CONNECT target out, or why not (RFC 9112 authority-form, strictly). */
#ifndef EXEAT_WIRE_CONNECT_REQUEST_H
#define EXEAT_WIRE_CONNECT_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum request_result {
    REQUEST_MORE = 0,  /* the head is not whole */
    REQUEST_CONNECT,   /* a well-formed CONNECT */
    REQUEST_DENIALS,   /* GET /denials in origin form, with Host */
    REQUEST_METHOD,    /* any other method, well-formed enough to be told 405 */
    REQUEST_BAD,       /* 400: `fault` says why */
    REQUEST_TOO_LARGE, /* 431 */
};

#define REQUEST_USER_MAX 193 /* a byte more than is shown of it, so that a cut shows too */

/* A part of the caller's buffer. */
struct span {
    uint32_t at, len;
};

/* The parser keeps no bytes: each call sees the whole buffer from its start, grown at its end only, and it goes on where it stopped, so no byte is
 * looked at twice for the head's end. Spans point into that buffer. */
struct connect_request {
    size_t head_max;
    size_t scanned;          /* private: how far the search for the end came */
    size_t line_at;          /* private: where the current line starts */
    bool has_host;           /* private: a Host header was seen */
    struct span host_header; /* private: its value */
    const char *fault;       /* REQUEST_BAD: a static sentence, with the bracketed form hint for a bare IPv6 address */
    size_t head_len;         /* bytes of the head, with leading empty lines; what follows in the buffer is the client's first payload */
    unsigned minor;          /* HTTP/1.minor */
    struct span method;
    struct span target; /* the request-target as it came */
    struct span host;   /* CONNECT: the host without brackets and port. DENIALS: the Host header's value */
    bool bracketed;     /* CONNECT: brackets stood around host */
    uint16_t port;
    struct span user_agent;      /* len 0: none */
    char user[REQUEST_USER_MAX]; /* the Basic user name of Proxy-Authorization, any bytes, cut. They are the client's: escape them */
    size_t user_len;             /* 0: none */
};

void connect_request_init(struct connect_request *request, size_t head_max);

/* Feeds the buffer as it stands. After anything but REQUEST_MORE it must not be called again. */
enum request_result connect_request_feed(struct connect_request *request, const uint8_t *bytes, size_t len);

#endif
