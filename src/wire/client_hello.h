/* The first flight of a TLS client: bytes in, server name and fingerprint out (RFC 8446 4.1.2 and 5.1, RFC 6066 3, RFC 7301, RFC 9849). */
#ifndef EXEAT_WIRE_CLIENT_HELLO_H
#define EXEAT_WIRE_CLIENT_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ja4_cache;

enum hello_result {
    HELLO_MORE = 0,
    HELLO_DONE,      /* a whole, well-formed ClientHello */
    HELLO_NOT_TLS,   /* the first bytes are no TLS handshake record */
    HELLO_MALFORMED, /* TLS, but no valid ClientHello */
    HELLO_TOO_LARGE, /* announced or sent more than hello_max */
    HELLO_NO_MEMORY, /* no fault of the client's */
};

#define HELLO_SNI_MAX 1024 /* longer names are no names; the rest is cut */
#define HELLO_ALPN_MAX 16  /* entries kept for the record */
#define HELLO_ALPN_LEN 97  /* bytes of each: one more than is shown, so that a cut shows too */
#define HELLO_JA4_SIZE 37

/* The parser keeps no bytes: each call sees the whole buffer from its start, grown at its end only, and it goes on where it stopped. What is read
 * from a whole message is copied: nothing points into the buffer. */
struct client_hello {
    size_t hello_max;
    struct ja4_cache *fingerprints; /* the caller's; NULL: none */
    size_t at;          /* private: how far the buffer has been walked */
    size_t record_left; /* private: bytes of the current record not yet walked */
    size_t message_len; /* private: handshake bytes walked */
    uint8_t head[4];    /* private: the first of them: type and length */
    uint8_t *message;   /* private, owned: the joined copy of a message that came in several records, else NULL */
    unsigned records;   /* record headers seen, up to the one in which the message ends */

    /* What a whole message said: valid after HELLO_DONE only. */
    bool has_sni;                   /* one server_name extension with exactly one host_name */
    uint16_t sni_len;               /* as sent, may be more than is kept */
    uint8_t sni[HELLO_SNI_MAX + 1]; /* raw bytes: not yet a name; a final NUL is added */
    bool has_ech;                   /* encrypted_client_hello, real or GREASE */
    uint16_t version;               /* the highest that supported_versions offers (no GREASE), else legacy_version: 0x0304 is TLS 1.3 */
    unsigned alpn_count;            /* as sent; the first HELLO_ALPN_MAX are kept */
    struct {
        uint8_t len;
        uint8_t bytes[HELLO_ALPN_LEN];
    } alpn[HELLO_ALPN_MAX];   /* longer protocol names are cut */
    char ja4[HELLO_JA4_SIZE]; /* FoxIO JA4, `t13d1516h2_8daaf6152771_b186095e22b6` */
    const char *fault;        /* HELLO_MALFORMED: a static sentence */
};

/* `fingerprints` (wire/ja4_cache.h, NULL: none) must outlive the hello. */
void client_hello_init(struct client_hello *hello, size_t hello_max, struct ja4_cache *fingerprints);
void client_hello_fini(struct client_hello *hello);

/* Feeds the buffer as it stands, of which at most hello_max bytes are looked at; what comes behind the message is not its business. After anything
 * but HELLO_MORE it must not be called again. */
enum hello_result client_hello_feed(struct client_hello *hello, const uint8_t *bytes, size_t len);

/* "TLS 1.3", "TLS 1.2" …; "0x0305" for one without a name, written into buf. */
const char *client_hello_version_text(uint16_t version, char buf[8]);

#endif
