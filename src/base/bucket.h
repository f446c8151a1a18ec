/* A bucket that leaks evenly: how much of something there was lately, held against a rate. */
#ifndef EXEAT_BASE_BUCKET_H
#define EXEAT_BASE_BUCKET_H

#include <stdint.h>

#include "base/number.h"

/* Zeroed: there was nothing. The amount of a rate fills it, and leaks out in the rate's span. It holds twice that at most: what is poured in beyond
 * is forgotten, so that it has room again after a span, whatever there was. A rate is never of nothing; the clock is whatever the caller's is, and
 * one that is behind what was said before (by another thread) stands still. */
struct bucket {
    uint64_t level;
    uint64_t leaked; /* less than one of it, in parts: as many as the span has milliseconds */
    uint64_t at_ms;  /* when it was so */
};

void bucket_pour(struct bucket *bucket, const struct rate *rate, uint64_t amount, uint64_t now_ms);

/* How much it still has room for; below zero: it holds that much more than it should. */
int64_t bucket_room(struct bucket *bucket, const struct rate *rate, uint64_t now_ms);

/* How long until it has room for anything; 0: it has. */
uint64_t bucket_wait_ms(struct bucket *bucket, const struct rate *rate, uint64_t now_ms);

/* From now on another rate holds; what is in it stays. */
void bucket_change(struct bucket *bucket, const struct rate *from, const struct rate *to, uint64_t now_ms);

#endif
