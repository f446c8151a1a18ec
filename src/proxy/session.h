/* One connection of a client, from accept to its last record: the unit of everything. */
#ifndef EXEAT_PROXY_SESSION_H
#define EXEAT_PROXY_SESSION_H

#include "config/config.h"

struct session;
struct slab;
struct worker;

/* Where a worker's sessions live. NULL when out of memory. */
struct slab *session_slab_new(void);

/* Takes an accepted, non-blocking socket. It is recorded and closed whatever happens, also when memory is out;
 * a client that leaves without a byte is only counted. */
void session_start(struct worker *worker, const struct listener *listener, int fd, const struct endpoint *peer);

/* The same for a connection that cannot be served (descriptors are out): 503 `overload`. */
void session_refuse(struct worker *worker, const struct listener *listener, int fd, const struct endpoint *peer);

/* The worker stops: an open tunnel gets its `close`, whatever is on its way is refused as draining. */
void session_stop(struct session *session);

#endif
