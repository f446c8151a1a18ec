/* A route's way out as a socket: its pool of sources, its interface, its mark. */
#ifndef EXEAT_PROXY_ROUTE_SOURCE_H
#define EXEAT_PROXY_ROUTE_SOURCE_H

#include "policy/policy.h"

/* The order in which a client's connections try the sources of one family: number `attempt` (0 …) of the pool, starting where the client's hash
 * (sticky) or a turn counter (round-robin) points, so that a client stays on one source while it works. NULL past the last. Sources that this
 * host turned out to lack are skipped. */
const struct source *route_source_at(const struct route *route, enum family family, const struct address *client, unsigned turn, unsigned attempt);

/* Marks a source as not had by this host (bind said EADDRNOTAVAIL): said once in the log, skipped from then on by every worker. After 10 s it may
 * be tried again, and a route_dress() that succeeds ends it. The attempts of route_source_at() close up over the gap: ask for the same number
 * again, not for the next. */
void route_source_lacks(const struct route *route, const struct source *source);

/* Sets interface and mark on a socket, and binds it to the source (may be NULL: unpinned) with IP_BIND_ADDRESS_NO_PORT and port 0. 0 or an
 * errno: EADDRNOTAVAIL means the source alone (also a pinned route without one: it never leaves unbound), ENETDOWN an interface that is down. */
int route_dress(const struct route *route, int fd, enum family family, const struct source *source);

#endif
