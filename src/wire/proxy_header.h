/* The header that a load balancer puts in front of a connection to say whose it is: the PROXY protocol, versions 1 and 2
 * (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt). */
#ifndef EXEAT_WIRE_PROXY_HEADER_H
#define EXEAT_WIRE_PROXY_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

#define PROXY_HEADER_MAX (16 + 65535) /* bytes; no header is longer */

enum proxy_header_result {
    PROXY_HEADER_MORE = 0,
    PROXY_HEADER_CLIENT, /* `client` is who speaks behind it */
    PROXY_HEADER_SELF,   /* v1 UNKNOWN, v2 UNSPEC: nobody is named; the balancer speaks for itself */
    PROXY_HEADER_LOCAL,  /* v2 LOCAL: the balancer looks whether somebody is there */
    PROXY_HEADER_BAD,    /* `fault` says why; nothing behind it means anything */
};

struct proxy_header {
    size_t len;                      /* bytes of the whole header; 0 until it is whole */
    struct endpoint client;          /* PROXY_HEADER_CLIENT; an IPv4 address inside IPv6 has become plain IPv4 */
    const char *fault;               /* PROXY_HEADER_BAD: what is wrong; static */
    size_t seen;                     /* private: how far the bytes are judged */
    enum proxy_header_result result; /* private: what was answered; it stays so */
};

void proxy_header_init(struct proxy_header *header);

/* Looks at all that came so far, from the start of the header; what stands behind it is not looked at. Any split of the bytes gives the same
 * answer, which is repeated once it is not MORE. Version 2 must fill its length exactly with address and TLVs; a CRC32c is checked where one is
 * sent. Of the block behind LOCAL and UNSPEC only the length counts, as the protocol wants it. */
enum proxy_header_result proxy_header_feed(struct proxy_header *header, const uint8_t *bytes, size_t len);

#endif
