/* Questions in flight: each is asked once for however many wait for it, and its answer is kept in the cache. */
#ifndef EXEAT_PROXY_DNS_LOOKUP_H
#define EXEAT_PROXY_DNS_LOOKUP_H

#include <stdint.h>

#include "proxy/dns_cache.h"
#include "proxy/dns_channel.h"
#include "proxy/dns_question.h"

/* More in flight than this: overload; more of one share: quota. */
#define DNS_LOOKUPS_MAX 4096
#define DNS_LOOKUPS_SHARE_MAX (DNS_LOOKUPS_MAX / 4)

struct dns_lookups;

/* Embedded in whoever waits. */
struct dns_wait {
    struct dns_wait *next, **link; /* link NULL: does not wait */
    void (*done)(struct dns_wait *wait, const struct dns_answer *answer);
};

/* The cache must outlive it. NULL: out of memory. */
struct dns_lookups *dns_lookups_new(struct dns_cache *cache);

/* Nobody may wait any more and the channels must have been freed. Safe on NULL. */
void dns_lookups_free(struct dns_lookups *lookups);

/* Joins the question in flight, or asks it of the channel, whose number stands in the question, on the account of `share`. `wait->done` runs once,
 * from the loop, when the answer is in the cache; never before this returns, and not after dns_wait_cancel. The settings say how long to keep it.
 * RESOLVE_OK: waits; else why it does not, RESOLVE_OVERLOAD or RESOLVE_QUOTA. */
enum resolve_status dns_lookups_wait(struct dns_lookups *lookups, struct dns_channel *channel, const struct dns_question *question,
                                     const struct dns_settings *settings, uint8_t share, struct dns_wait *wait);

unsigned dns_lookups_count(const struct dns_lookups *lookups);

/* The question goes on, to fill the cache. Safe on one that does not wait. */
void dns_wait_cancel(struct dns_wait *wait);

#endif
