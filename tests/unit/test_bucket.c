/* What a bucket holds after so much at such times: to the unit, however often it is looked at. */
#include "base/bucket.h"

#include <criterion/criterion.h>

static const struct rate HOURLY = {.amount = 3600000, .span_ms = 3600 * 1000}; /* one a millisecond */
static const struct rate SLOW = {.amount = 3, .span_ms = 86400 * 1000};
static const struct rate HUGE_ONE = {.amount = UINT64_C(1) << 50, .span_ms = 86400 * 1000};

static struct bucket bucket;

Test(bucket, one_that_was_never_used_has_all_its_room)
{
    cr_expect_eq(bucket_room(&bucket, &HOURLY, 5), 3600000);
    cr_expect_eq(bucket_wait_ms(&bucket, &HOURLY, 5), 0);
}

Test(bucket, what_is_poured_in_leaks_evenly)
{
    bucket_pour(&bucket, &HOURLY, 1000, 100);
    cr_expect_eq(bucket_room(&bucket, &HOURLY, 100), 3600000 - 1000);
    cr_expect_eq(bucket_room(&bucket, &HOURLY, 500), 3600000 - 600);
    cr_expect_eq(bucket_room(&bucket, &HOURLY, 1099), 3600000 - 1);
    cr_expect_eq(bucket_room(&bucket, &HOURLY, 5000), 3600000, "empty is empty: nothing is saved up");
    bucket_pour(&bucket, &HOURLY, 10, 5000);
    cr_expect_eq(bucket_room(&bucket, &HOURLY, 5000), 3600000 - 10);
}

Test(bucket, a_full_one_has_room_again_when_one_has_leaked)
{
    bucket_pour(&bucket, &HOURLY, 3599999, 0);
    cr_expect_eq(bucket_wait_ms(&bucket, &HOURLY, 0), 0);
    bucket_pour(&bucket, &HOURLY, 1, 0);
    cr_expect_eq(bucket_wait_ms(&bucket, &HOURLY, 0), 1);
    bucket_pour(&bucket, &HOURLY, 99, 0);
    cr_expect_eq(bucket_room(&bucket, &HOURLY, 0), -99);
    cr_expect_eq(bucket_wait_ms(&bucket, &HOURLY, 0), 100);
    cr_expect_eq(bucket_wait_ms(&bucket, &HOURLY, 99), 1);
    cr_expect_eq(bucket_wait_ms(&bucket, &HOURLY, 100), 0);
    cr_expect_eq(bucket_room(&bucket, &HOURLY, 100), 1);
}

/* What a tunnel that stays open carries is counted, but keeps nobody out for longer than a span. */
Test(bucket, it_holds_twice_its_amount_at_most)
{
    bucket_pour(&bucket, &HOURLY, 3600000, 0);
    bucket_pour(&bucket, &HOURLY, UINT64_MAX, 0);
    cr_expect_eq(bucket_room(&bucket, &HOURLY, 0), -3600000);
    cr_expect_eq(bucket_wait_ms(&bucket, &HOURLY, 0), HOURLY.span_ms + 1);
    cr_expect_eq(bucket_wait_ms(&bucket, &HOURLY, HOURLY.span_ms + 1), 0);
    cr_expect_eq(bucket_room(&bucket, &HOURLY, 2 * HOURLY.span_ms), 3600000);
}

Test(bucket, parts_of_one_are_not_lost_by_looking)
{
    struct bucket seldom = {0};
    bucket_pour(&bucket, &SLOW, 6, 0);
    bucket_pour(&seldom, &SLOW, 6, 0);
    for (uint64_t now_ms = 0; now_ms <= SLOW.span_ms; now_ms += 7919)
        bucket_room(&bucket, &SLOW, now_ms);
    cr_expect_eq(bucket_room(&bucket, &SLOW, SLOW.span_ms), 0);
    cr_expect_eq(bucket_room(&seldom, &SLOW, SLOW.span_ms), 0);
    cr_expect_eq(bucket_wait_ms(&bucket, &SLOW, SLOW.span_ms), SLOW.span_ms / 3);
    cr_expect_eq(bucket_wait_ms(&bucket, &SLOW, SLOW.span_ms + 1), SLOW.span_ms / 3 - 1);
    cr_expect_eq(bucket_wait_ms(&bucket, &SLOW, SLOW.span_ms + SLOW.span_ms / 3 - 1), 1);
    cr_expect_eq(bucket_wait_ms(&bucket, &SLOW, SLOW.span_ms + SLOW.span_ms / 3), 0);
}

Test(bucket, a_clock_that_is_behind_stands_still)
{
    bucket_pour(&bucket, &HOURLY, 1000, 5000);
    bucket_pour(&bucket, &HOURLY, 1000, 4000);
    cr_expect_eq(bucket_room(&bucket, &HOURLY, 4500), 3600000 - 2000);
    cr_expect_eq(bucket_room(&bucket, &HOURLY, 5500), 3600000 - 1500);
}

Test(bucket, large_ones_do_not_overflow)
{
    bucket_pour(&bucket, &HUGE_ONE, UINT64_MAX, 1000);
    cr_expect_eq(bucket_room(&bucket, &HUGE_ONE, 1000), -(INT64_C(1) << 50));
    cr_expect_eq(bucket_wait_ms(&bucket, &HUGE_ONE, 1000), HUGE_ONE.span_ms + 1);
    cr_expect_eq(bucket_room(&bucket, &HUGE_ONE, UINT64_MAX), INT64_C(1) << 50);
}

Test(bucket, another_rate_finds_what_was_used)
{
    const struct rate tenfold = {.amount = 36000000, .span_ms = HOURLY.span_ms}, tenth = {.amount = 360000, .span_ms = HOURLY.span_ms};
    bucket_pour(&bucket, &HOURLY, 3600000, 0);
    bucket_change(&bucket, &HOURLY, &tenfold, 600000);
    cr_expect_eq(bucket_room(&bucket, &tenfold, 600000), 36000000 - 3000000, "what leaked by the old rate, and not by the new one");
    bucket_change(&bucket, &tenfold, &tenth, 600000);
    cr_expect_eq(bucket_room(&bucket, &tenth, 600000), -360000, "twice the new amount at most");
}
