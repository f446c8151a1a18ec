/* Any bytes as a request head: the result must not depend on how they were split, and every span must lie in the buffer. */
#include <stdlib.h>
#include <string.h>

#include "wire/connect_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_span(struct span span, size_t len)
{
    check(span.at <= len && span.len <= len - span.at);
}

static void check_result(const struct connect_request *request, enum request_result result, const uint8_t *bytes, size_t len)
{
    check((result == REQUEST_BAD) == (request->fault != NULL));
    check_span(request->method, len);
    check_span(request->target, len);
    check_span(request->host, len);
    check_span(request->user_agent, len);
    check(request->user_len <= sizeof(request->user) && !memchr(request->user, ':', request->user_len));
    if (result == REQUEST_CONNECT || result == REQUEST_DENIALS || result == REQUEST_METHOD)
        check(request->head_len <= len && request->head_len <= request->head_max && memcmp(bytes + request->head_len - 4, "\r\n\r\n", 4) == 0);
    if (result == REQUEST_CONNECT)
        check(request->port > 0 && request->host.len > 0 && !memchr(bytes + request->host.at, '%', request->host.len));
}

static enum request_result feed_pieces(struct connect_request *request, const uint8_t *bytes, size_t len, size_t step)
{
    enum request_result result = REQUEST_MORE;
    for (size_t at = 0; at < len && result == REQUEST_MORE;) {
        step = step * 31 % 253 + 1;
        at = step < len - at ? at + step : len;
        uint8_t *copy = malloc(at);
        check(copy != NULL);
        memcpy(copy, bytes, at);
        result = connect_request_feed(request, copy, at);
        free(copy);
    }
    return result;
}

/* The first two bytes choose the limit and the pieces. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct connect_request whole, pieces;
    if (size < 3)
        return 0;
    size_t head_max = (size_t)data[0] * 64 + 16;
    connect_request_init(&whole, head_max);
    connect_request_init(&pieces, head_max);
    enum request_result result = connect_request_feed(&whole, data + 2, size - 2);
    check_result(&whole, result, data + 2, size - 2);
    check(feed_pieces(&pieces, data + 2, size - 2, data[1]) == result);
    check(pieces.fault == whole.fault && pieces.head_len == whole.head_len && pieces.minor == whole.minor);
    check(pieces.port == whole.port && pieces.bracketed == whole.bracketed && pieces.user_len == whole.user_len);
    check(memcmp(pieces.user, whole.user, whole.user_len) == 0);
    check(memcmp(&pieces.host, &whole.host, sizeof(whole.host)) == 0 && memcmp(&pieces.target, &whole.target, sizeof(whole.target)) == 0);
    check(memcmp(&pieces.user_agent, &whole.user_agent, sizeof(whole.user_agent)) == 0);
    return 0;
}
