/* The listening sockets of one worker: accepts, and pauses when descriptors run out. */
#ifndef EXEAT_PROXY_LISTENING_H
#define EXEAT_PROXY_LISTENING_H

#include <stdbool.h>

struct edition;
struct listening;
struct worker;

struct listening *listening_new(struct worker *worker);

/* Stops accepting and closes the sockets. */
void listening_free(struct listening *listening);

/* Goes over to the addresses of an edition: takes this worker's new sockets out of it, and lets go of what is not in it any more: who has connected
 * there is still accepted, then the socket is closed. Where others listen on it, too, it is closed at once, and left as it was: who waits in it is
 * theirs. The worker's old snapshot must still be there. */
void listening_take(struct listening *listening, const struct edition *edition);

/* Stops accepting, for good: another process has the same sockets, and takes whoever waits in their queues. Only what is being let go of already is
 * this one's still, until it is closed. */
void listening_retire(struct listening *listening);

/* Lets go of all addresses in that way, for good. */
void listening_leave_all(struct listening *listening);
/* None is left: those that it was told to leave are closed. */
bool listening_is_over(const struct listening *listening);

/* Begins to accept. */
void listening_begin(struct listening *listening);
bool listening_has_begun(const struct listening *listening);

#endif
