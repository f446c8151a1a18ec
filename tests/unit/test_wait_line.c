/* The waiting line: turns in order and in time, and whoever leaves it, comes back or goes with it. */
#include "proxy/wait_line.h"

#include <criterion/criterion.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

enum { WAIT_MS = 50 };

struct guest {
    struct waiter waiter; /* first */
    struct party *party;
    unsigned turns;
    uint64_t began_ms, came_ms;
    struct guest *sends_away; /* in its turn */
    bool comes_again;
};

struct party {
    struct loop *loop;
    struct wait_line *line;
    struct guest guest[4];
    char order[8]; /* of their turns: 'a' the first guest */
    unsigned turns, expected;
    bool done;
};

static void come(struct guest *guest)
{
    guest->began_ms = net_now_ms();
    wait_start(guest->party->line, &guest->waiter);
    cr_expect(wait_is_on(&guest->waiter));
}

static void on_turn(struct waiter *waiter)
{
    struct guest *guest = (struct guest *)waiter;
    struct party *party = guest->party;
    cr_expect_not(wait_is_on(waiter));
    guest->turns++;
    guest->came_ms = net_now_ms();
    party->order[party->turns++] = (char)('a' + (guest - party->guest));
    party->done = party->turns == party->expected;
    if (guest->sends_away)
        wait_cancel(&guest->sends_away->waiter);
    if (guest->comes_again && guest->turns == 1)
        come(guest);
}

static void invite(struct party *party, unsigned expected)
{
    memset(party, 0, sizeof(*party));
    party->loop = loop_new();
    cr_assert(party->loop && (party->line = wait_line_new(party->loop, WAIT_MS, on_turn)));
    cr_expect_eq(wait_line_ms(party->line), WAIT_MS);
    party->expected = expected;
    for (int i = 0; i < 4; i++)
        party->guest[i].party = party;
}

static void expect_turns(struct party *party, const char *order)
{
    cr_expect(net_run(party->loop, &party->done, 10000), "only %s", party->order);
    cr_expect_str_eq(party->order, order);
    for (int i = 0; i < 4; i++)
        cr_expect(party->guest[i].turns == 0 || party->guest[i].came_ms - party->guest[i].began_ms >= WAIT_MS);
    wait_line_free(party->line);
    loop_free(party->loop);
}

Test(wait_line, everybody_has_a_turn_in_order_and_not_too_early)
{
    struct party party;
    invite(&party, 4);
    come(&party.guest[2]);
    come(&party.guest[0]);
    net_run(party.loop, NULL, WAIT_MS / 2);
    come(&party.guest[3]);
    come(&party.guest[1]);
    expect_turns(&party, "cadb");
}

Test(wait_line, who_leaves_has_none)
{
    struct party party;
    invite(&party, 2);
    for (int i = 0; i < 4; i++)
        come(&party.guest[i]);
    wait_cancel(&party.guest[0].waiter); /* the first, for whom the timer is set */
    wait_cancel(&party.guest[3].waiter); /* the last */
    wait_cancel(&party.guest[3].waiter);
    cr_expect_not(wait_is_on(&party.guest[0].waiter));
    expect_turns(&party, "bc");
}

Test(wait_line, when_all_have_left_the_next_one_waits_no_less)
{
    struct party party;
    invite(&party, 1);
    come(&party.guest[0]);
    wait_cancel(&party.guest[0].waiter);
    net_run(party.loop, NULL, WAIT_MS / 2);
    come(&party.guest[1]);
    expect_turns(&party, "b");
}

Test(wait_line, a_turn_may_send_others_away_and_come_again)
{
    struct party party;
    invite(&party, 3);
    party.guest[0].sends_away = &party.guest[1]; /* due in the same moment */
    party.guest[0].comes_again = true;
    for (int i = 0; i < 3; i++)
        come(&party.guest[i]);
    expect_turns(&party, "aca");
}

Test(wait_line, goes_with_those_who_wait)
{
    struct party party;
    struct waiter zeroed = {0};
    wait_cancel(&zeroed);
    invite(&party, 1);
    come(&party.guest[0]);
    come(&party.guest[1]);
    wait_line_free(party.line);
    cr_expect_not(wait_is_on(&party.guest[0].waiter));
    wait_cancel(&party.guest[1].waiter);
    net_run(party.loop, NULL, 2 * WAIT_MS);
    cr_expect_eq(party.turns, 0);
    wait_line_free(NULL);
    loop_free(party.loop);
}
