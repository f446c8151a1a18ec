/* Any bytes as a PROXY header: the result must not depend on how they were split, nor on what stands behind, and names somebody or nobody. */
#include "wire/proxy_header.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_result(const struct proxy_header *header, enum proxy_header_result result, size_t len)
{
    bool whole = result == PROXY_HEADER_CLIENT || result == PROXY_HEADER_SELF || result == PROXY_HEADER_LOCAL;
    check((result == PROXY_HEADER_BAD) == (header->fault != NULL));
    check(whole == (header->len > 0) && header->len <= len && header->len <= PROXY_HEADER_MAX);
    check(result != PROXY_HEADER_MORE || len < PROXY_HEADER_MAX);
    check((result == PROXY_HEADER_CLIENT) == address_is_set(&header->client.ip));
    check(!address_is_any(&header->client.ip));
}

/* Each piece in a buffer of its own, so that a read past its end is seen. */
static enum proxy_header_result feed_copy(struct proxy_header *header, const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    check(copy != NULL);
    memcpy(copy, bytes, len);
    enum proxy_header_result result = proxy_header_feed(header, copy, len);
    free(copy);
    return result;
}

static enum proxy_header_result feed_pieces(struct proxy_header *header, const uint8_t *bytes, size_t len, size_t step)
{
    enum proxy_header_result result = PROXY_HEADER_MORE;
    for (size_t at = 0; at < len && result == PROXY_HEADER_MORE;) {
        step = step * 31 % 253 + 1;
        at = step < len - at ? at + step : len;
        result = feed_copy(header, bytes, at);
    }
    return result;
}

static void check_same(const struct proxy_header *a, const struct proxy_header *b)
{
    check(a->fault == b->fault && a->len == b->len && a->client.port == b->client.port);
    check(memcmp(&a->client.ip, &b->client.ip, sizeof(a->client.ip)) == 0);
}

/* The first byte chooses the pieces. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header whole, pieces, alone;
    if (size < 2)
        return 0;
    proxy_header_init(&whole);
    proxy_header_init(&pieces);
    proxy_header_init(&alone);
    enum proxy_header_result result = feed_copy(&whole, data + 1, size - 1);
    check_result(&whole, result, size - 1);
    check(feed_pieces(&pieces, data + 1, size - 1, data[0]) == result);
    check_same(&whole, &pieces);
    if (whole.len > 0) { /* without what stands behind it */
        check(feed_copy(&alone, data + 1, whole.len) == result);
        check_same(&whole, &alone);
    }
    return 0;
}
