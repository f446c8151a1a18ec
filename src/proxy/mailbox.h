/* Orders from one thread to another's event loop: a locked list and an eventfd. */
#ifndef EXEAT_PROXY_MAILBOX_H
#define EXEAT_PROXY_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct mailbox;

/* `take` is called on the loop's thread, in the order of mailbox_put; what a value means, be it a number, a descriptor or a pointer, `what` says.
 * NULL when out of memory or descriptors. */
struct mailbox *mailbox_new(struct event_base *base, void (*take)(void *arg, int what, intptr_t value), void *arg);
/* What was not taken is dropped. On the loop's thread, or when it runs no more. */
void mailbox_free(struct mailbox *mailbox);

/* From any thread; never waits. False when out of memory. */
bool mailbox_put(struct mailbox *mailbox, int what, intptr_t value);

#endif
