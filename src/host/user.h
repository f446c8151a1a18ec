/* Becoming another user for good. */
#ifndef EXEAT_HOST_USER_H
#define EXEAT_HOST_USER_H

#include <stdbool.h>

/* Root becomes `user`, with that one's group and no others; capabilities stay permitted and are the caller's to give up. Without `user`, or when this
 * is not root, nothing changes, and what is odd about that is said in the log. Before the first thread. False, said there too: it is still root. */
bool user_settle(const char *user);

#endif
