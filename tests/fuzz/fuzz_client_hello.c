/* Any bytes as a TLS client's first flight: the result must not depend on how they were split, and nothing kept may be out of bounds. */
#include <stdlib.h>
#include <string.h>

#include "wire/client_hello.h"
#include "wire/ja4_cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_result(const struct client_hello *hello, enum hello_result result)
{
    check((result == HELLO_MALFORMED) == (hello->fault != NULL));
    if (result != HELLO_DONE)
        return;
    check(strlen(hello->ja4) == HELLO_JA4_SIZE - 1 && hello->records > 0);
    check(!hello->has_sni || hello->sni_len > 0);
    check(hello->sni[HELLO_SNI_MAX] == 0);
    for (size_t i = 0; i < hello->alpn_count && i < HELLO_ALPN_MAX; i++)
        check(hello->alpn[i].len > 0 && hello->alpn[i].len <= sizeof(hello->alpn[i].bytes));
}

static enum hello_result feed_pieces(struct client_hello *hello, const uint8_t *bytes, size_t len, size_t step)
{
    enum hello_result result = HELLO_MORE;
    for (size_t at = 0; at < len && result == HELLO_MORE;) {
        step = step * 31 % 253 + 1;
        at = step < len - at ? at + step : len;
        uint8_t *copy = malloc(at);
        check(copy != NULL);
        memcpy(copy, bytes, at);
        result = client_hello_feed(hello, copy, at);
        free(copy);
    }
    return result;
}

static bool same(const struct client_hello *a, const struct client_hello *b)
{
    return a->fault == b->fault && a->records == b->records && a->has_sni == b->has_sni && a->sni_len == b->sni_len &&
           memcmp(a->sni, b->sni, sizeof(a->sni)) == 0 && a->has_ech == b->has_ech && a->version == b->version && a->alpn_count == b->alpn_count &&
           memcmp(a->alpn, b->alpn, sizeof(a->alpn)) == 0 && strcmp(a->ja4, b->ja4) == 0;
}

/* The first two bytes choose the limit and the pieces. A fingerprint that is remembered is the one that would be made. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ja4_cache *fingerprints;
    struct client_hello whole, pieces;
    if (size < 3)
        return 0;
    size_t hello_max = (size_t)data[0] * 64 + 16;
    if (!fingerprints)
        fingerprints = ja4_cache_new(0);
    client_hello_init(&whole, hello_max, NULL);
    client_hello_init(&pieces, hello_max, fingerprints);
    enum hello_result result = client_hello_feed(&whole, data + 2, size - 2);
    check_result(&whole, result);
    check(feed_pieces(&pieces, data + 2, size - 2, data[1]) == result);
    check(same(&whole, &pieces));
    client_hello_fini(&whole);
    client_hello_fini(&pieces);
    return 0;
}
