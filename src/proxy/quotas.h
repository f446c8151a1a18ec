/* What the clients of each group have moved lately, held against the group's quotas: one account for all workers. */
#ifndef EXEAT_PROXY_QUOTAS_H
#define EXEAT_PROXY_QUOTAS_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/policy.h"

struct quotas;
struct quota; /* of one group */

/* A lock inside, held for a few instructions. NULL when out of memory. */
struct quotas *quotas_new(void);
void quotas_free(struct quotas *quotas);

/* These hold from now on. A group is known by its name: where it had a quota before, what was used of that stays used. False: out of memory, and some
 * group is not known. */
bool quotas_take(struct quotas *quotas, const struct policy *policy, uint64_t now_ms);

/* Of the group of that name, for as long as `quotas` lives; NULL: it never had one, or is not known. */
struct quota *quotas_find(struct quotas *quotas, const char *group);

/* So many bytes have gone that way, whether there was room or not. */
void quota_use(struct quota *quota, enum quota_way way, uint64_t bytes, uint64_t now_ms);

/* Bytes that may still go; below zero: more went. False: that way has no bound. */
bool quota_left(struct quota *quota, enum quota_way way, uint64_t now_ms, int64_t *left);

/* Why a client may open no tunnel. */
struct quota_refusal {
    const struct group *group; /* NULL: out of memory */
    enum quota_way way;        /* … is used up, … */
    uint64_t wait_ms;          /* … for so long */
};

/* Whether all groups that the client is in have room both ways. False: *refusal is what takes longest. */
bool quotas_admit(struct quotas *quotas, const struct policy *policy, const struct address *client, uint64_t now_ms, struct quota_refusal *refusal);

#endif
