/* DNS answers kept for as long as they are good: bounded, the one that nobody asked for longest goes first. */
#include "proxy/dns_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

struct dns_entry {
    struct dns_entry *chain;         /* the next of its bucket */
    struct dns_entry *newer, *older; /* by when it was last asked for */
    uint64_t expires_ms;
    struct dns_question question;
    bool negative, no_data;
    const char *detail;
    size_t count;
    struct address addresses[];
};

struct dns_cache {
    struct dns_entry **buckets;
    struct dns_entry *newest, *oldest;
    size_t bucket_count, count, max;
    uint64_t seed;
};

struct dns_cache *dns_cache_new(size_t max)
{
    struct dns_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return NULL;
    cache->max = max;
    cache->bucket_count = max;
    cache->seed = hash_seed();
    cache->buckets = calloc(cache->bucket_count, sizeof(*cache->buckets));
    if (cache->buckets)
        return cache;
    free(cache);
    return NULL;
}

/* The link that points to the entry, or the end of its bucket's chain. */
static struct dns_entry **dns_cache_link(struct dns_cache *cache, const struct dns_question *question)
{
    struct dns_entry **link = &cache->buckets[dns_question_hash(question, cache->seed) % cache->bucket_count];
    while (*link && !dns_question_equal(&(*link)->question, question))
        link = &(*link)->chain;
    return link;
}

static void dns_cache_push_newest(struct dns_cache *cache, struct dns_entry *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

static void dns_cache_pull(struct dns_cache *cache, struct dns_entry *entry)
{
    *(entry->newer ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &cache->oldest) = entry->newer;
}

static void dns_cache_drop(struct dns_cache *cache, struct dns_entry **link)
{
    struct dns_entry *entry = *link;
    *link = entry->chain;
    dns_cache_pull(cache, entry);
    cache->count--;
    free(entry);
}

static void dns_cache_answer(const struct dns_entry *entry, struct dns_answer *answer)
{
    memset(answer, 0, sizeof(*answer));
    answer->status = entry->negative ? RESOLVE_FAILED : RESOLVE_OK;
    answer->negative = entry->negative;
    answer->no_data = entry->no_data;
    answer->detail = entry->detail;
    answer->count = entry->count;
    memcpy(answer->addresses, entry->addresses, entry->count * sizeof(*entry->addresses));
}

bool dns_cache_find(struct dns_cache *cache, const struct dns_question *question, uint64_t now_ms, struct dns_answer *answer)
{
    struct dns_entry **link = dns_cache_link(cache, question);
    if (!*link)
        return false;
    if ((*link)->expires_ms <= now_ms) {
        dns_cache_drop(cache, link);
        return false;
    }
    dns_cache_pull(cache, *link);
    dns_cache_push_newest(cache, *link);
    dns_cache_answer(*link, answer);
    return true;
}

static struct dns_entry *dns_entry_new(const struct dns_question *question, const struct dns_answer *answer, uint64_t expires_ms)
{
    struct dns_entry *entry = malloc(sizeof(*entry) + answer->count * sizeof(*entry->addresses));
    if (!entry)
        return NULL;
    memset(entry, 0, sizeof(*entry));
    entry->question = *question;
    entry->expires_ms = expires_ms;
    entry->negative = answer->negative;
    entry->no_data = answer->no_data;
    entry->detail = answer->detail;
    entry->count = answer->count;
    memcpy(entry->addresses, answer->addresses, answer->count * sizeof(*entry->addresses));
    return entry;
}

void dns_cache_put(struct dns_cache *cache, const struct dns_question *question, const struct dns_answer *answer, uint64_t expires_ms)
{
    struct dns_entry *entry = dns_entry_new(question, answer, expires_ms);
    if (!entry)
        return;
    struct dns_entry **same = dns_cache_link(cache, question);
    if (*same)
        dns_cache_drop(cache, same);
    else if (cache->count >= cache->max)
        dns_cache_drop(cache, dns_cache_link(cache, &cache->oldest->question));
    struct dns_entry **bucket = &cache->buckets[dns_question_hash(question, cache->seed) % cache->bucket_count];
    entry->chain = *bucket;
    *bucket = entry;
    dns_cache_push_newest(cache, entry);
    cache->count++;
}

size_t dns_cache_count(const struct dns_cache *cache)
{
    return cache->count;
}

void dns_cache_free(struct dns_cache *cache)
{
    if (!cache)
        return;
    while (cache->oldest) {
        struct dns_entry *entry = cache->oldest;
        cache->oldest = entry->newer;
        free(entry);
    }
    free(cache->buckets);
    free(cache);
}
