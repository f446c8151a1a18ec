/* A bucket that leaks evenly: how much of something there was lately, held against a rate. */
#include "base/bucket.h"

#include <assert.h>

#define BUCKET_SPANS 2 /* what it holds at most, in amounts of its rate */

static uint64_t bucket_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Exact (a rate's amount times its span is more than 64 bits): parts of one are kept, so that it does not matter how often it is looked at. */
static void bucket_leak(struct bucket *bucket, const struct rate *rate, uint64_t now_ms)
{
    assert(rate->amount > 0 && rate->amount <= INT64_MAX / BUCKET_SPANS && rate->span_ms > 0);
    const uint64_t passed_ms = now_ms > bucket->at_ms ? now_ms - bucket->at_ms : 0;
    const unsigned __int128 parts = (unsigned __int128)rate->amount * bucket_min(passed_ms, BUCKET_SPANS * rate->span_ms) + bucket->leaked;
    const unsigned __int128 whole = parts / rate->span_ms;
    const bool empty = whole >= bucket->level;
    bucket->level = empty ? 0 : bucket->level - (uint64_t)whole;
    bucket->leaked = empty ? 0 : (uint64_t)(parts % rate->span_ms);
    bucket->at_ms += passed_ms;
}

void bucket_pour(struct bucket *bucket, const struct rate *rate, uint64_t amount, uint64_t now_ms)
{
    bucket_leak(bucket, rate, now_ms);
    const uint64_t most = BUCKET_SPANS * rate->amount;
    bucket->level = amount < most ? bucket_min(bucket->level + amount, most) : most;
}

int64_t bucket_room(struct bucket *bucket, const struct rate *rate, uint64_t now_ms)
{
    bucket_leak(bucket, rate, now_ms);
    return (int64_t)rate->amount - (int64_t)bucket->level;
}

uint64_t bucket_wait_ms(struct bucket *bucket, const struct rate *rate, uint64_t now_ms)
{
    const int64_t room = bucket_room(bucket, rate, now_ms);
    if (room > 0)
        return 0;
    const unsigned __int128 parts = (unsigned __int128)(1 - room) * rate->span_ms - bucket->leaked;
    return (uint64_t)((parts + rate->amount - 1) / rate->amount);
}

void bucket_change(struct bucket *bucket, const struct rate *from, const struct rate *to, uint64_t now_ms)
{
    bucket_leak(bucket, from, now_ms);
    bucket->level = bucket_min(bucket->level, BUCKET_SPANS * to->amount);
    bucket->leaked = 0;
}
