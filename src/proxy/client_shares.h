/* What each client holds of what all of them share, so that one cannot stop the rest. */
#ifndef EXEAT_PROXY_CLIENT_SHARES_H
#define EXEAT_PROXY_CLIENT_SHARES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

#define SHARES_UNKNOWN_MAX 64 /* what `unknown` is at most, however many sessions there may be */

/* Of one client, by its address, and of all together that are in no group. */
struct share_limits {
    size_t pending;  /* sessions that do not relay yet */
    size_t sessions; /* those and its open tunnels */
    size_t unknown;  /* sessions of clients in no group */
};

enum share_answer {
    SHARE_PAST = 0, /* it has its share already */
    SHARE_TAKEN,
    SHARE_NO_MEMORY,
};

struct client_shares;

/* One account for all workers; a lock inside, held for a few instructions. NULL when out of memory. */
struct client_shares *client_shares_new(void);
void client_shares_free(struct client_shares *shares);

/* A session of the client begins, pending. `unknown`: the client is in no group; what it holds is counted among all who are not. */
enum share_answer client_shares_take(struct client_shares *shares, const struct address *client, bool unknown, const struct share_limits *limits);

/* One that was taken relays now. */
void client_shares_open(struct client_shares *shares, const struct address *client);

/* One that was taken is over; `open`: it relayed. `unknown` as it was taken. */
void client_shares_give(struct client_shares *shares, const struct address *client, bool unknown, bool open);

#endif
