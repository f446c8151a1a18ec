/* The fingerprints of the ClientHellos seen last: the clients of a fleet are few programs, which say the same over and over. */
#ifndef EXEAT_WIRE_JA4_CACHE_H
#define EXEAT_WIRE_JA4_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/ja4.h"

/* 10 KiB. NULL when out of memory. */
struct ja4_cache *ja4_cache_new(uint64_t seed);
/* Safe on NULL. */
void ja4_cache_free(struct ja4_cache *cache);

/* As ja4_make(): the same facts always give the same fingerprint, whatever was asked before. Without a cache (NULL) it is made each time. */
bool ja4_cache_make(struct ja4_cache *cache, char out[JA4_SIZE], const struct ja4_facts *facts);

#endif
