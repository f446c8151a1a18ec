/* DNS answers kept for as long as they are good: bounded, the one that nobody asked for longest goes first. */
#ifndef EXEAT_PROXY_DNS_CACHE_H
#define EXEAT_PROXY_DNS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/dns_question.h"

struct dns_cache;

/* Holds at most `max` answers (at least 1). NULL when out of memory. */
struct dns_cache *dns_cache_new(size_t max);
void dns_cache_free(struct dns_cache *cache);

/* Fills *answer (its ttl_s is 0) and returns true when there is one that has not expired. */
bool dns_cache_find(struct dns_cache *cache, const struct dns_question *question, uint64_t now_ms, struct dns_answer *answer);

/* Keeps a copy, in place of an older answer to the same question; out of memory, it just is not kept. */
void dns_cache_put(struct dns_cache *cache, const struct dns_question *question, const struct dns_answer *answer, uint64_t expires_ms);

size_t dns_cache_count(const struct dns_cache *cache);

#endif
