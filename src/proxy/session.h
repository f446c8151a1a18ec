/* One connection of a client, from accept to its last record: the unit of everything. */
#ifndef EXEAT_PROXY_SESSION_H
#define EXEAT_PROXY_SESSION_H

#include <stddef.h>

#include "config/config.h"

struct session;
struct slab;
struct tally;
struct tunnel;
struct worker;

/* Where a worker's sessions live. NULL when out of memory. */
struct slab *session_slab_new(void);

/* Takes an accepted, non-blocking socket. It is recorded and closed whatever happens, also when memory is out;
 * a client that leaves without a byte is only counted. */
void session_start(struct worker *worker, const struct listener *listener, int fd, const struct endpoint *peer);

/* The same for a connection that cannot be served (descriptors are out): 503 `overload`. */
void session_refuse(struct worker *worker, const struct listener *listener, int fd, const struct endpoint *peer);

/* For a survey. The next in the worker's list; NULL: that was the last. */
const struct session *session_next(const struct session *session);
/* Adds what it holds now, of which nothing is in the worker's own tally yet: its port, its open tunnel and the bytes so far. */
void session_count(const struct session *session, struct tally *tally);
/* False: it is no open tunnel. */
bool session_describe(const struct session *session, struct tunnel *tunnel);

/* Judges the next few of the worker's open tunnels by its newest snapshot and today's date, from worker->review_next on, and ends those that are not
 * allowed any more. False: that was all. */
bool session_review_some(struct worker *worker);

/* Writes the closes of those that are over, and for which there was no memory until now. False: that was all. */
bool session_settle_owed(struct worker *worker);

/* The worker stops: an open tunnel gets its `close`, whatever is on its way is refused as draining. */
void session_stop(struct session *session);
/* The same for the newest ones, until no more than so many are left. Who is only refused by it may linger, and counts until then. */
void session_stop_down_to(struct worker *worker, size_t count);

#endif
