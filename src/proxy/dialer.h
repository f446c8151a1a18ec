/* Dialling an origin from a route's sources: happy eyeballs (RFC 8305) over the addresses, one deadline over all. */
#ifndef EXEAT_PROXY_DIALER_H
#define EXEAT_PROXY_DIALER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/policy.h"
#include "proxy/budget.h"
#include "proxy/loop.h"

enum dial_status {
    DIAL_FAILED = 0, /* refused, unreachable … by every address: connect_failed */
    DIAL_OK,
    DIAL_TIMEOUT, /* connect_timeout */
    /* No source of the route fits any of the addresses, or all ran out of ports, or interface or mark failed, or the kernel has no way that they may
     * take: route_unavailable. */
    DIAL_NO_WAY,
    DIAL_OVERLOAD, /* out of descriptors or memory */
};

struct dialed {
    enum dial_status status;
    int error;                    /* errno of the last try when not OK */
    int fd;                       /* OK: connected, non-blocking, TCP_NODELAY set; the caller's */
    struct endpoint upstream;     /* OK: who answered; else the last that was tried */
    struct endpoint egress;       /* OK: our own address and port */
    struct address egress_public; /* OK: what the world sees, from PRIVATE=PUBLIC; the egress address otherwise */
    uint32_t took_ms;
};

struct dial; /* the token that cancels */

struct dial_request {
    const struct route *route;       /* must live until done or cancel */
    struct address client;           /* for sticky sources */
    const struct address *addresses; /* already accepted by policy; copied */
    size_t address_count;
    bool first_preferred; /* the first address is tried before all others, whatever its family */
    bool may_come_back;   /* the network may bring our own connections to our listener: each try is noted (proxy/own_dial) */
    struct budget *tries; /* a try beside another one takes one of these, or waits */
    uint16_t port;
    uint64_t timeout_ms; /* for the whole dial */
};

/* Addresses are interleaved by family (IPv6 first, or the preferred one's), a next one is tried 250 ms after the last or at once when that fails, at
 * most 8 at a time and with one of `tries` for each but the first.
 * `done` never runs before this returns, and not after dial_cancel. The token ends with the call of `done`, or with dial_cancel: it is not to be
 * used from then on. NULL: out of memory. */
struct dial *dial_start(struct loop *loop, const struct dial_request *request, void (*done)(void *arg, const struct dialed *dialed), void *arg);
void dial_cancel(struct dial *dial);

#endif
