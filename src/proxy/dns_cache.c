/* DNS answers kept for as long as they are good: bounded, and where room is needed, whoever holds the most gives it. */
#include "proxy/dns_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/slab.h"

enum {
    CACHE_BUCKETS = 16384,
    PART_BUCKETS = CACHE_BUCKETS / DNS_CACHE_PARTS,
};

struct dns_entry {
    struct dns_entry *chain;         /* the next of its bucket */
    struct dns_entry *newer, *older; /* of its share, by when it was last asked for */
    uint64_t expires_ms;
    uint64_t channel;
    const char *detail;
    uint32_t bucket;
    uint8_t share, family, count, name_len;
    bool negative, no_data;
    uint8_t data[]; /* the bytes of `count` addresses of the family, then the name */
};

/* Entries come from slabs, by size: the least has room for a name of 34 letters with one IPv4 address, the last for the longest name with as many
 * IPv6 addresses as are kept. */
static const size_t ENTRY_SIZES[] = {96, 160, 320, sizeof(struct dns_entry) + RESOLVED_MAX * 16 + HOSTNAME_MAX};
enum { ENTRY_SLABS = sizeof(ENTRY_SIZES) / sizeof(*ENTRY_SIZES) };

/* What one share holds. */
struct dns_account {
    struct dns_entry *newest, *oldest;
    size_t bytes;
};

struct dns_cache {
    struct slab *slabs[ENTRY_SLABS];
    struct dns_entry **buckets; /* NULL: nothing is held */
    struct dns_account accounts[DNS_SHARES];
    size_t count, bytes, max, max_bytes;
    uint32_t swept; /* the bucket that the next sweep begins with */
    uint64_t seed;
};

struct dns_cache *dns_cache_new(size_t max, size_t max_bytes)
{
    struct dns_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return NULL;
    cache->max = max;
    cache->max_bytes = max_bytes;
    cache->seed = hash_seed();
    for (size_t i = 0; i < ENTRY_SLABS; i++) {
        cache->slabs[i] = slab_new(ENTRY_SIZES[i]);
        if (!cache->slabs[i]) {
            dns_cache_free(cache);
            return NULL;
        }
    }
    return cache;
}

/* ---- entries ---- */

static size_t dns_entry_address_size(uint8_t family)
{
    const struct address any = {.family = family};
    return address_size(&any);
}

static size_t dns_entry_name_at(const struct dns_entry *entry)
{
    return entry->count * dns_entry_address_size(entry->family);
}

/* The slab whose objects have room for so many bytes of data. */
static size_t dns_entry_slab(size_t data_bytes)
{
    size_t slab = 0;
    while (ENTRY_SIZES[slab] < offsetof(struct dns_entry, data) + data_bytes)
        slab++;
    return slab;
}

static size_t dns_entry_bytes(const struct dns_entry *entry)
{
    return ENTRY_SIZES[dns_entry_slab(dns_entry_name_at(entry) + entry->name_len)];
}

static struct dns_entry *dns_entry_new(struct dns_cache *cache, const struct dns_question *question, const struct dns_answer *answer)
{
    const size_t address_bytes = dns_entry_address_size(question->family), name_len = strlen(question->name);
    struct dns_entry *entry = slab_take(cache->slabs[dns_entry_slab(answer->count * address_bytes + name_len)]);
    if (!entry)
        return NULL;
    entry->channel = question->channel;
    entry->detail = answer->detail;
    entry->family = question->family;
    entry->count = (uint8_t)answer->count;
    entry->name_len = (uint8_t)name_len;
    entry->negative = answer->negative;
    entry->no_data = answer->no_data;
    for (size_t i = 0; i < answer->count; i++)
        memcpy(entry->data + i * address_bytes, answer->addresses[i].bytes, address_bytes);
    memcpy(entry->data + dns_entry_name_at(entry), question->name, name_len);
    return entry;
}

static bool dns_entry_is_for(const struct dns_entry *entry, const struct dns_question *question)
{
    return entry->channel == question->channel && entry->family == question->family && strlen(question->name) == entry->name_len &&
           memcmp(entry->data + dns_entry_name_at(entry), question->name, entry->name_len) == 0;
}

static void dns_entry_read(const struct dns_entry *entry, struct dns_answer *answer)
{
    const size_t address_bytes = dns_entry_address_size(entry->family);
    memset(answer, 0, sizeof(*answer));
    answer->status = entry->negative ? RESOLVE_FAILED : RESOLVE_OK;
    answer->negative = entry->negative;
    answer->no_data = entry->no_data;
    answer->detail = entry->detail;
    answer->count = entry->count;
    for (size_t i = 0; i < entry->count; i++) {
        answer->addresses[i].family = entry->family;
        memcpy(answer->addresses[i].bytes, entry->data + i * address_bytes, address_bytes);
    }
}

/* ---- accounts ---- */

static void dns_cache_push_newest(struct dns_cache *cache, struct dns_entry *entry)
{
    struct dns_account *account = &cache->accounts[entry->share];
    entry->newer = NULL;
    entry->older = account->newest;
    *(account->newest ? &account->newest->newer : &account->oldest) = entry;
    account->newest = entry;
}

static void dns_cache_pull(struct dns_cache *cache, struct dns_entry *entry)
{
    struct dns_account *account = &cache->accounts[entry->share];
    *(entry->newer ? &entry->newer->older : &account->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &account->oldest) = entry->newer;
}

static void dns_cache_drop(struct dns_cache *cache, struct dns_entry **link)
{
    struct dns_entry *entry = *link;
    const size_t bytes = dns_entry_bytes(entry);
    *link = entry->chain;
    dns_cache_pull(cache, entry);
    cache->accounts[entry->share].bytes -= bytes;
    cache->bytes -= bytes;
    cache->count--;
    slab_give(entry);
}

static void dns_cache_evict(struct dns_cache *cache)
{
    const struct dns_account *most = cache->accounts;
    for (size_t i = 1; i < DNS_SHARES; i++)
        if (cache->accounts[i].bytes > most->bytes)
            most = &cache->accounts[i];
    struct dns_entry **link = &cache->buckets[most->oldest->bucket];
    while (*link != most->oldest)
        link = &(*link)->chain;
    dns_cache_drop(cache, link);
}

/* ---- questions ---- */

static uint32_t dns_cache_bucket(const struct dns_cache *cache, const struct dns_question *question)
{
    return (uint32_t)(dns_question_hash(question, cache->seed) % CACHE_BUCKETS);
}

/* The link that points to the entry, or the end of its bucket's chain. */
static struct dns_entry **dns_cache_link(struct dns_cache *cache, const struct dns_question *question, uint32_t bucket)
{
    struct dns_entry **link = &cache->buckets[bucket];
    while (*link && !dns_entry_is_for(*link, question))
        link = &(*link)->chain;
    return link;
}

bool dns_cache_find(struct dns_cache *cache, const struct dns_question *question, uint64_t now_ms, struct dns_answer *answer)
{
    if (!cache->buckets)
        return false;
    struct dns_entry **link = dns_cache_link(cache, question, dns_cache_bucket(cache, question));
    if (!*link)
        return false;
    if ((*link)->expires_ms <= now_ms) {
        dns_cache_drop(cache, link);
        return false;
    }
    dns_cache_pull(cache, *link);
    dns_cache_push_newest(cache, *link);
    dns_entry_read(*link, answer);
    return true;
}

static void dns_cache_add(struct dns_cache *cache, struct dns_entry *entry)
{
    const size_t bytes = dns_entry_bytes(entry);
    while (cache->count > 0 && (cache->count >= cache->max || cache->bytes + bytes > cache->max_bytes))
        dns_cache_evict(cache);
    entry->chain = cache->buckets[entry->bucket];
    cache->buckets[entry->bucket] = entry;
    dns_cache_push_newest(cache, entry);
    cache->accounts[entry->share].bytes += bytes;
    cache->bytes += bytes;
    cache->count++;
}

void dns_cache_put(struct dns_cache *cache, const struct dns_question *question, const struct dns_answer *answer, uint8_t share, uint64_t expires_ms)
{
    if (!cache->buckets)
        cache->buckets = calloc(CACHE_BUCKETS, sizeof(*cache->buckets));
    struct dns_entry *entry = cache->buckets ? dns_entry_new(cache, question, answer) : NULL;
    if (!entry)
        return;
    entry->expires_ms = expires_ms;
    entry->share = share;
    entry->bucket = dns_cache_bucket(cache, question);
    struct dns_entry **same = dns_cache_link(cache, question, entry->bucket);
    if (*same)
        dns_cache_drop(cache, same);
    dns_cache_add(cache, entry);
}

/* ---- what has expired ---- */

static void dns_cache_sweep_bucket(struct dns_cache *cache, struct dns_entry **link, uint64_t now_ms)
{
    while (*link)
        if ((*link)->expires_ms <= now_ms)
            dns_cache_drop(cache, link);
        else
            link = &(*link)->chain;
}

bool dns_cache_sweep(struct dns_cache *cache, uint64_t now_ms)
{
    for (unsigned i = 0; i < PART_BUCKETS && cache->count > 0; i++) {
        dns_cache_sweep_bucket(cache, &cache->buckets[cache->swept], now_ms);
        cache->swept = (cache->swept + 1) % CACHE_BUCKETS;
    }
    if (cache->count > 0)
        return true;
    free(cache->buckets);
    cache->buckets = NULL;
    return false;
}

size_t dns_cache_count(const struct dns_cache *cache)
{
    return cache->count;
}

size_t dns_cache_bytes(const struct dns_cache *cache)
{
    return cache->bytes;
}

void dns_cache_free(struct dns_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < DNS_SHARES; i++)
        for (struct dns_entry *entry; (entry = cache->accounts[i].oldest) != NULL;) {
            cache->accounts[i].oldest = entry->newer;
            slab_give(entry);
        }
    for (size_t i = 0; i < ENTRY_SLABS; i++)
        slab_free(cache->slabs[i]);
    free(cache->buckets);
    free(cache);
}
