/* Orders from one thread to another's event loop: a locked list and an eventfd. */
#ifndef EXEAT_PROXY_MAILBOX_H
#define EXEAT_PROXY_MAILBOX_H

#include <stdbool.h>

struct event_base;
struct mailbox;

/* `take` is called on the loop's thread, in the order of mailbox_put. NULL when out of memory or descriptors. */
struct mailbox *mailbox_new(struct event_base *base, void (*take)(void *arg, int what, int value), void *arg);
/* What was not taken is dropped. On the loop's thread, or when it runs no more. */
void mailbox_free(struct mailbox *mailbox);

/* From any thread; never waits. False when out of memory. */
bool mailbox_put(struct mailbox *mailbox, int what, int value);

#endif
