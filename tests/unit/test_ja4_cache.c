/* Fingerprints that are remembered are those that would be made. */
#include <criterion/criterion.h>
#include <string.h>

#include "wire/ja4_cache.h"

static struct ja4_list list_of(uint8_t bytes[], size_t len, uint8_t first)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(first + i * 7);
    return (struct ja4_list){bytes, len};
}

static void expect_same(struct ja4_cache *cache, const struct ja4_facts *facts)
{
    char made[JA4_SIZE], remembered[JA4_SIZE];
    cr_assert(ja4_make(made, facts));
    for (int again = 0; again < 3; again++) {
        cr_assert(ja4_cache_make(cache, remembered, facts));
        cr_assert_str_eq(remembered, made);
    }
}

/* More of them than it has room for, in turn and again. */
Test(ja4_cache, gives_what_would_be_made)
{
    struct ja4_cache *cache = ja4_cache_new(7);
    uint8_t ciphers[34], extensions[30], signatures[18];
    for (unsigned i = 0; i < 300; i++) {
        const struct ja4_facts facts = {
            .version = 0x0304,
            .has_sni = i % 2,
            .ciphers = list_of(ciphers, sizeof(ciphers) - i % 4 * 2, (uint8_t)(i % 60)),
            .extensions = list_of(extensions, sizeof(extensions) - i % 5 * 2, (uint8_t)i),
            .signatures = list_of(signatures, i % 7 ? sizeof(signatures) : 0, 3),
            .alpn = i % 3 ? (const uint8_t *)"h2" : NULL,
            .alpn_len = i % 3 ? 2 : 0,
        };
        expect_same(cache, &facts);
    }
    ja4_cache_free(cache);
}

/* Bytes that stand in another of the lists, or in another order, are another fingerprint. */
Test(ja4_cache, tells_lists_apart)
{
    uint8_t bytes[] = {0x13, 0x01, 0x13, 0x02, 0x00, 0x2b, 0x00, 0x0d, 0x04, 0x03, 0x08, 0x04};
    struct ja4_cache *cache = ja4_cache_new(0);
    for (size_t first = 2; first <= sizeof(bytes); first += 2) {
        for (size_t second = first; second <= sizeof(bytes); second += 2) {
            const struct ja4_facts facts = {.version = 0x0303,
                                            .ciphers = {bytes, first},
                                            .extensions = {bytes + first, second - first},
                                            .signatures = {bytes + second, sizeof(bytes) - second}};
            expect_same(cache, &facts);
        }
    }
    ja4_cache_free(cache);
}

/* It holds 600 bytes of a hello; a longer one is as good. */
Test(ja4_cache, takes_lists_of_any_length)
{
    static uint8_t bytes[40000];
    struct ja4_cache *cache = ja4_cache_new(0);
    const size_t lens[] = {2, 560, 580, 590, 600, 602, 1000, sizeof(bytes)};
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        const struct ja4_facts facts = {.version = 0x0304, .ciphers = list_of(bytes, lens[i], 1), .extensions = {bytes, 2}};
        expect_same(cache, &facts);
    }
    ja4_cache_free(cache);
}

Test(ja4_cache, none_is_no_fault)
{
    uint8_t bytes[4];
    const struct ja4_facts facts = {.version = 0x0304, .ciphers = list_of(bytes, sizeof(bytes), 1)};
    expect_same(NULL, &facts);
    ja4_cache_free(NULL);
}
