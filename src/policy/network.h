/* CIDRs: read strictly, compared, searched and aggregated (libcidr, behind a strict gate). */
#ifndef EXEAT_POLICY_NETWORK_H
#define EXEAT_POLICY_NETWORK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

struct network {
    struct address base;
    uint8_t prefix; /* bits */
};

#define NETWORK_TEXT_MAX 50

/* Reads `10.0.0.0/8`, `2001:db8::/32` or a bare address (a network of one). Refuses what libcidr would guess at, host bits that are set, and
 * v4-mapped IPv6. On false *why is a static sentence and *out is zeroed, except where host bits are set: then *out holds what was written, so that
 * the caller can name the network that was meant (network_mask, network_cidr_text). */
bool network_read(struct network *out, const char *text, size_t len, const char **why);

/* `10.0.0.0/8`; a network of one is written without its prefix. */
const char *network_text(const struct network *network, char buf[NETWORK_TEXT_MAX]);
/* Always with the prefix. */
const char *network_cidr_text(const struct network *network, char buf[NETWORK_TEXT_MAX]);

bool network_has(const struct network *network, const struct address *address);

/* Clears the host bits of *network, so that a fault can name the CIDR that was meant. */
void network_mask(struct network *network);

/* Sorts and joins `count` networks in place into the fewest that cover exactly the same addresses; returns how many are left. */
size_t network_aggregate(struct network *networks, size_t count);

/* True when every address of it means something to its owner only: RFC 1918, ULA, loopback, link-local, CGNAT. */
bool network_is_private(const struct network *network);

/* A set of networks, searched by longest prefix in a time that grows with the log of its size. Built, then sealed (which sorts it and drops what is
 * there twice), then only read. */
struct network_set;

struct network_set *network_set_new(void);
void network_set_free(struct network_set *set);
/* False when out of memory. Adding after sealing is our own mistake (assert). */
bool network_set_add(struct network_set *set, const struct network *network);
bool network_set_seal(struct network_set *set);
size_t network_set_count(const struct network_set *set);
/* The most specific network that holds the address, or NULL. No set (NULL) holds nothing. */
const struct network *network_set_find(const struct network_set *set, const struct address *address);

#endif
