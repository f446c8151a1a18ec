/* Who hammers is known, whoever else is refused meanwhile, and forgiven after a while. */
#include "proxy/refusals.h"

#include <criterion/criterion.h>
#include <pthread.h>

static struct refusals *refusals;

static void open_refusals(void)
{
    cr_assert((refusals = refusals_new()) != NULL);
}

static void close_refusals(void)
{
    refusals_free(refusals);
    refusals_free(NULL);
}

TestSuite(refusals, .init = open_refusals, .fini = close_refusals);

static struct address client_of(uint32_t number)
{
    return (struct address){FAMILY_V4, {10, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number}};
}

/* How many it hears at once before one is to wait. */
static unsigned at_once(const struct address *client, uint64_t most, uint64_t now_ms)
{
    unsigned count = 0;
    while (!refusals_count(refusals, client, most, now_ms))
        count++;
    return count;
}

Test(refusals, so_many_and_no_more)
{
    const struct address one = client_of(1), other = client_of(2);
    cr_expect_eq(at_once(&one, 5, 1000), 5);
    cr_expect(refusals_count(refusals, &one, 5, 1000));
    cr_expect_eq(at_once(&other, 5, 1000), 5, "each its own");
    cr_expect_eq(at_once(&other, 100, 1000), 100 - 6, "a reload that allows more");
}

Test(refusals, one_that_stops_is_forgiven)
{
    const struct address client = client_of(1);
    for (int i = 0; i < 1000; i++)
        refusals_count(refusals, &client, 5, 1000);
    cr_expect(refusals_count(refusals, &client, 5, 1000 + REFUSALS_SPAN_MS - 1));
    cr_expect_eq(at_once(&client, 5, 1000 + 4 * REFUSALS_SPAN_MS), 5);
}

Test(refusals, one_that_comes_no_more_often_than_it_may_never_waits)
{
    const struct address client = client_of(1);
    for (uint64_t i = 0; i < 1000; i++)
        cr_assert(!refusals_count(refusals, &client, 5, i * REFUSALS_SPAN_MS / 5));
}

/* The table is full of others, most of which have been forgotten; those who hammer are not. */
Test(refusals, who_hammers_is_not_forgotten_for_others)
{
    const struct address client = client_of(UINT16_MAX);
    cr_assert_eq(at_once(&client, 5, 1), 5);
    for (uint32_t i = 0; i < 4 * REFUSALS_SETS * REFUSALS_A_SET; i++) {
        const struct address other = client_of(i);
        refusals_count(refusals, &other, 5, 2 + i / 8);
        if (i % 8 == 0) /* so often that chance does not put four of the others into its set meanwhile */
            cr_assert(refusals_count(refusals, &client, 5, 2 + i / 8));
    }
}

static void *count_many(void *arg)
{
    for (uint32_t i = 0; i < 20000; i++) {
        const struct address client = client_of(i % 7);
        refusals_count(refusals, &client, 1000000, 5);
    }
    return arg;
}

Test(refusals, workers_count_at_once)
{
    pthread_t threads[4];
    unsigned left = 0;
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, count_many, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < 7; i++) {
        const struct address client = client_of(i);
        left += at_once(&client, 12000, 5);
    }
    cr_expect_eq(left, 7 * 12000 - 80000);
}
