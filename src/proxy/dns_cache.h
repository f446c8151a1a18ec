/* DNS answers kept for as long as they are good: bounded, and where room is needed, whoever holds the most gives it. */
#ifndef EXEAT_PROXY_DNS_CACHE_H
#define EXEAT_PROXY_DNS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/dns_question.h"

struct dns_cache;

/* Holds at most `max` answers (at least 1), in at most `max_bytes`; the table of them comes to that. NULL when out of memory. */
struct dns_cache *dns_cache_new(size_t max, size_t max_bytes);
void dns_cache_free(struct dns_cache *cache);

/* Fills *answer (its ttl_s is 0) and returns true when there is one that has not expired. */
bool dns_cache_find(struct dns_cache *cache, const struct dns_question *question, uint64_t now_ms, struct dns_answer *answer);

/* Keeps a copy on the account of `share`, in place of an older answer to the same question. When there is no room, the share that holds the most
 * loses what was asked for longest ago: nobody drives out what others use. Out of memory, it just is not kept. */
void dns_cache_put(struct dns_cache *cache, const struct dns_question *question, const struct dns_answer *answer, uint8_t share, uint64_t expires_ms);

/* Lets go of what has expired in one of so many parts, the next each time, so that no call takes long. False: nothing is held any more. */
#define DNS_CACHE_PARTS 8
bool dns_cache_sweep(struct dns_cache *cache, uint64_t now_ms);

size_t dns_cache_count(const struct dns_cache *cache);
size_t dns_cache_bytes(const struct dns_cache *cache);

#endif
