/* Questions in flight: each is asked once for however many wait for it, and its answer is kept in the cache. */
#include "proxy/dns_lookup.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"

enum {
    LOOKUP_BUCKETS = 1024,
    JOINABLE_MS = 1000,
};

struct dns_lookup {
    struct dns_lookup *chain;
    struct dns_lookups *lookups;
    struct dns_question question;
    struct dns_wait *waiting;
    uint8_t share;
    uint64_t joinable_until_ms;
    uint64_t min_ttl_ms, max_ttl_ms, negative_ttl_ms;
};

struct dns_lookups {
    struct dns_cache *cache;
    struct dns_lookup *buckets[LOOKUP_BUCKETS];
    unsigned count, shares[DNS_SHARES];
    uint64_t seed;
};

struct dns_lookups *dns_lookups_new(struct dns_cache *cache)
{
    struct dns_lookups *lookups = calloc(1, sizeof(*lookups));
    if (!lookups)
        return NULL;
    lookups->cache = cache;
    lookups->seed = hash_seed();
    return lookups;
}

static struct dns_lookup **dns_lookups_bucket(struct dns_lookups *lookups, const struct dns_question *question)
{
    return &lookups->buckets[dns_question_hash(question, lookups->seed) % LOOKUP_BUCKETS];
}

static struct dns_lookup *dns_lookups_find(struct dns_lookups *lookups, const struct dns_question *question, uint64_t now_ms)
{
    struct dns_lookup *lookup = *dns_lookups_bucket(lookups, question);
    while (lookup && (now_ms > lookup->joinable_until_ms || !dns_question_equal(&lookup->question, question)))
        lookup = lookup->chain;
    return lookup;
}

static void dns_lookup_unlink(struct dns_lookup *lookup)
{
    struct dns_lookup **link = dns_lookups_bucket(lookup->lookups, &lookup->question);
    while (*link != lookup)
        link = &(*link)->chain;
    *link = lookup->chain;
    lookup->lookups->count--;
    lookup->lookups->shares[lookup->share]--;
}

/* 0: not to be kept. That nothing could be learnt is not kept, only that there is nothing. */
static uint64_t dns_lookup_ttl_ms(const struct dns_lookup *lookup, const struct dns_answer *answer)
{
    if (answer->negative)
        return lookup->negative_ttl_ms;
    if (answer->status != RESOLVE_OK)
        return 0;
    uint64_t ttl_ms = (uint64_t)answer->ttl_s * 1000;
    if (ttl_ms < lookup->min_ttl_ms)
        ttl_ms = lookup->min_ttl_ms;
    return ttl_ms < lookup->max_ttl_ms ? ttl_ms : lookup->max_ttl_ms;
}

static void dns_lookup_tell(struct dns_lookup *lookup, const struct dns_answer *answer)
{
    lookup->joinable_until_ms = 0;
    for (struct dns_wait *wait; (wait = lookup->waiting) != NULL;) {
        dns_wait_cancel(wait);
        wait->done(wait, answer);
    }
}

/* Who waits for the same. Those told may ask again, which puts new questions in front; none goes. */
static void dns_lookups_tell_others(const struct dns_lookup *answered, const struct dns_answer *answer)
{
    struct dns_lookup *lookup = *dns_lookups_bucket(answered->lookups, &answered->question);
    for (; lookup; lookup = lookup->chain)
        if (dns_question_equal(&lookup->question, &answered->question))
            dns_lookup_tell(lookup, answer);
}

static void dns_lookup_answered(void *arg, const struct dns_answer *answer)
{
    struct dns_lookup *lookup = arg;
    uint64_t ttl_ms = dns_lookup_ttl_ms(lookup, answer);
    dns_lookup_unlink(lookup);
    if (ttl_ms)
        dns_cache_put(lookup->lookups->cache, &lookup->question, answer, lookup->share, clock_monotonic_ms() + ttl_ms);
    dns_lookup_tell(lookup, answer);
    if (answer->status == RESOLVE_OK || answer->negative)
        dns_lookups_tell_others(lookup, answer);
    free(lookup);
}

/* An unanswered question is repeated less and less often. So who comes late starts anew, and hears at once from a server that is back; then so do
 * those who have been waiting. */
static struct dns_lookup *dns_lookups_start(struct dns_lookups *lookups, struct dns_channel *channel, const struct dns_question *question,
                                            const struct dns_settings *settings, uint8_t share, uint64_t now_ms)
{
    struct dns_lookup *lookup = lookups->count < DNS_LOOKUPS_MAX ? calloc(1, sizeof(*lookup)) : NULL;
    if (!lookup)
        return NULL;
    lookup->lookups = lookups;
    lookup->question = *question;
    lookup->share = share;
    lookup->joinable_until_ms = now_ms + (settings->timeout_ms < 2 * JOINABLE_MS ? settings->timeout_ms / 2 : JOINABLE_MS);
    lookup->min_ttl_ms = settings->min_ttl_ms;
    lookup->max_ttl_ms = settings->max_ttl_ms;
    lookup->negative_ttl_ms = settings->negative_ttl_ms;
    if (!dns_channel_ask(channel, question, dns_lookup_answered, lookup)) {
        free(lookup);
        return NULL;
    }
    struct dns_lookup **bucket = dns_lookups_bucket(lookups, question);
    lookup->chain = *bucket;
    *bucket = lookup;
    lookups->count++;
    lookups->shares[share]++;
    return lookup;
}

enum resolve_status dns_lookups_wait(struct dns_lookups *lookups, struct dns_channel *channel, const struct dns_question *question,
                                     const struct dns_settings *settings, uint8_t share, struct dns_wait *wait)
{
    uint64_t now_ms = clock_monotonic_ms();
    struct dns_lookup *lookup = dns_lookups_find(lookups, question, now_ms);
    if (!lookup && lookups->shares[share] >= DNS_LOOKUPS_SHARE_MAX)
        return RESOLVE_QUOTA;
    if (!lookup)
        lookup = dns_lookups_start(lookups, channel, question, settings, share, now_ms);
    if (!lookup)
        return RESOLVE_OVERLOAD;
    wait->next = lookup->waiting;
    wait->link = &lookup->waiting;
    if (wait->next)
        wait->next->link = &wait->next;
    lookup->waiting = wait;
    return RESOLVE_OK;
}

void dns_wait_cancel(struct dns_wait *wait)
{
    if (!wait->link)
        return;
    *wait->link = wait->next;
    if (wait->next)
        wait->next->link = wait->link;
    wait->next = NULL;
    wait->link = NULL;
}

unsigned dns_lookups_count(const struct dns_lookups *lookups)
{
    return lookups->count;
}

void dns_lookups_free(struct dns_lookups *lookups)
{
    if (!lookups)
        return;
    for (size_t i = 0; i < LOOKUP_BUCKETS; i++)
        for (struct dns_lookup *lookup; (lookup = lookups->buckets[i]) != NULL;) {
            assert(!lookup->waiting);
            lookups->buckets[i] = lookup->chain;
            free(lookup);
        }
    free(lookups);
}
