/* The listening sockets of one worker: accepts, and pauses when descriptors run out. */
#ifndef EXEAT_PROXY_LISTENING_H
#define EXEAT_PROXY_LISTENING_H

#include <stdbool.h>

#include "config/config.h"

struct listening;
struct worker;

struct listening *listening_new(struct worker *worker);

/* Stops accepting and closes the sockets. */
void listening_free(struct listening *listening);

/* Takes a bound, listening, non-blocking socket; it is this one's from here on, also on failure. */
bool listening_add(struct listening *listening, const struct listener *listener, int fd);

/* Begins to accept. */
void listening_begin(struct listening *listening);
bool listening_has_begun(const struct listening *listening);

#endif
