/* One client holds its share and no more, whatever the others do, and nothing is left when all is given back. */
#include "proxy/client_shares.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdint.h>

#include "net.h"

static struct client_shares *shares;

static void open_shares(void)
{
    cr_assert((shares = client_shares_new()) != NULL);
}

static void close_shares(void)
{
    client_shares_free(shares);
    client_shares_free(NULL);
}

TestSuite(client_shares, .init = open_shares, .fini = close_shares);

static struct address client_of(uint32_t number)
{
    return (struct address){FAMILY_V4, {10, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number}};
}

static const struct share_limits LIMITS = {.pending = 3, .sessions = 5, .unknown = 64};

static unsigned take_all(const struct address *client, bool unknown)
{
    unsigned taken = 0;
    while (client_shares_take(shares, client, unknown, &LIMITS) == SHARE_TAKEN)
        taken++;
    return taken;
}

Test(client_shares, pending_ones_are_few)
{
    const struct address one = client_of(1), other = client_of(2);
    cr_assert_eq(take_all(&one, false), 3);
    cr_assert_eq(take_all(&other, false), 3);
    client_shares_give(shares, &one, false, false);
    cr_assert_eq(take_all(&one, false), 1);
}

Test(client_shares, open_ones_make_room_for_others_up_to_all)
{
    const struct address client = client_of(1);
    cr_assert_eq(take_all(&client, false), 3);
    client_shares_open(shares, &client);
    client_shares_open(shares, &client);
    cr_assert_eq(take_all(&client, false), 2);
    client_shares_open(shares, &client);
    cr_assert_eq(take_all(&client, false), 0, "5 in all");
    client_shares_give(shares, &client, false, true);
    cr_assert_eq(take_all(&client, false), 1);
}

Test(client_shares, those_in_no_group_share_one_lot)
{
    unsigned taken = 0;
    for (uint32_t i = 0; i < 100; i++) {
        const struct address stranger = client_of(i);
        taken += client_shares_take(shares, &stranger, true, &LIMITS) == SHARE_TAKEN;
    }
    cr_assert_eq(taken, LIMITS.unknown);
    const struct address known = client_of(200), stranger = client_of(0);
    cr_assert_eq(take_all(&known, false), 3);
    client_shares_give(shares, &stranger, true, false);
    cr_assert_eq(client_shares_take(shares, &stranger, true, &LIMITS), SHARE_TAKEN);
    cr_assert_eq(client_shares_take(shares, &stranger, true, &LIMITS), SHARE_PAST);
}

/* Many at once, more than there are buckets; then all is as before. */
Test(client_shares, what_is_given_back_can_be_taken_again)
{
    enum { CLIENTS = 5000 };
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < CLIENTS; i++) {
            const struct address client = client_of(i);
            cr_assert_eq(take_all(&client, false), 3);
            client_shares_open(shares, &client);
        }
        for (uint32_t i = 0; i < CLIENTS; i++) {
            const struct address client = client_of(i);
            client_shares_give(shares, &client, false, true);
            client_shares_give(shares, &client, false, false);
            client_shares_give(shares, &client, false, false);
        }
    }
}

static void *take_and_give(void *arg)
{
    const struct share_limits wide = {.pending = 8, .sessions = 8};
    (void)arg;
    for (uint32_t i = 0; i < 20000; i++) {
        const struct address client = client_of(i % 7);
        if (client_shares_take(shares, &client, i % 2, &wide) != SHARE_TAKEN)
            continue;
        if (i % 3 == 0)
            client_shares_open(shares, &client);
        client_shares_give(shares, &client, i % 2, i % 3 == 0);
    }
    return NULL;
}

Test(client_shares, workers_take_and_give_at_once)
{
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, take_and_give, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < 7; i++) {
        const struct address client = client_of(i);
        cr_assert_eq(take_all(&client, true), 3);
    }
}
