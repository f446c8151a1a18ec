/* The fingerprints of the ClientHellos seen last, each beside all that it was made of. */
#include "wire/ja4_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

enum {
    CACHE_ROWS = 16,
    CACHE_KEY = 600, /* bytes of a hello's lists; browsers say some 150. Of a longer one the fingerprint is made each time */
};

struct ja4_key {
    size_t len;
    uint8_t bytes[CACHE_KEY];
};

struct ja4_cache {
    uint64_t seed;
    struct ja4_row {
        struct ja4_key key; /* empty: none */
        char text[JA4_SIZE];
    } rows[CACHE_ROWS];
};

struct ja4_cache *ja4_cache_new(uint64_t seed)
{
    struct ja4_cache *cache = calloc(1, sizeof(*cache));
    if (cache)
        cache->seed = seed;
    return cache;
}

void ja4_cache_free(struct ja4_cache *cache)
{
    free(cache);
}

/* A run of bytes with its length in front, so that no two sets of facts have one key. */
static bool ja4_key_add(struct ja4_key *key, const void *bytes, size_t len)
{
    const uint16_t announced = (uint16_t)len;
    if (len > CACHE_KEY || key->len + sizeof(announced) + len > CACHE_KEY)
        return false;
    memcpy(key->bytes + key->len, &announced, sizeof(announced));
    if (len > 0)
        memcpy(key->bytes + key->len + sizeof(announced), bytes, len);
    key->len += sizeof(announced) + len;
    return true;
}

static bool ja4_key_make(struct ja4_key *key, const struct ja4_facts *facts)
{
    const uint16_t small[] = {facts->version, facts->has_sni, facts->alpn != NULL};
    key->len = 0;
    return ja4_key_add(key, small, sizeof(small)) && ja4_key_add(key, facts->ciphers.at, facts->ciphers.len) &&
           ja4_key_add(key, facts->extensions.at, facts->extensions.len) && ja4_key_add(key, facts->signatures.at, facts->signatures.len) &&
           ja4_key_add(key, facts->alpn, facts->alpn_len);
}

bool ja4_cache_make(struct ja4_cache *cache, char out[JA4_SIZE], const struct ja4_facts *facts)
{
    struct ja4_key key;
    if (!cache || !ja4_key_make(&key, facts))
        return ja4_make(out, facts);
    struct ja4_row *row = &cache->rows[hash_bytes(key.bytes, key.len, cache->seed) % CACHE_ROWS];
    if (row->key.len != key.len || memcmp(row->key.bytes, key.bytes, key.len) != 0) {
        row->key.len = 0;
        if (!ja4_make(row->text, facts))
            return false;
        memcpy(row->key.bytes, key.bytes, key.len);
        row->key.len = key.len;
    }
    memcpy(out, row->text, JA4_SIZE);
    return true;
}
