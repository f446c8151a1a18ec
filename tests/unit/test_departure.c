/* Tests of host/departure and base/drain: what signals ask for, one stage after the other, and how the rest is spread. */
#include <criterion/criterion.h>

#include "base/drain.h"
#include "host/departure.h"

static const struct departure_times AT_ONCE = {.delay_ms = 0, .timeout_ms = 3600000}, DELAYED = {.delay_ms = 30000, .timeout_ms = 3600000},
                                    SHORT = {.delay_ms = 0, .timeout_ms = 200}, NONE = {0};

static struct departure asked(enum departure_wish wish, bool serving, const struct departure_times *times)
{
    struct departure departure = {0};
    cr_assert(departure_ask(&departure, wish, serving, 1000, times));
    return departure;
}

Test(departure, the_first_request_is_followed_as_it_says)
{
    cr_expect(asked(DEPARTURE_DRAIN, true, &AT_ONCE).stage == DEPARTURE_DRAINING);
    cr_expect(asked(DEPARTURE_DRAIN, true, &DELAYED).stage == DEPARTURE_ANNOUNCED);
    cr_expect(asked(DEPARTURE_DRAIN, true, &NONE).stage == DEPARTURE_DRAINING, "nobody is reset, even so");
    cr_expect(asked(DEPARTURE_DRAIN, false, &DELAYED).stage == DEPARTURE_STOPPING, "there is nothing to drain");
    cr_expect(asked(DEPARTURE_STOP, true, &DELAYED).stage == DEPARTURE_STOPPING);
    cr_expect(asked(DEPARTURE_STOP, false, &DELAYED).stage == DEPARTURE_STOPPING);
}

Test(departure, nothing_happens_by_itself_before_it_is_asked_for)
{
    struct departure departure = {0};
    cr_expect(!departure_go_on(&departure, UINT64_MAX, &DELAYED) && departure.stage == DEPARTURE_NONE);
    cr_expect(!departure_drained(&departure, 1000) && departure.stage == DEPARTURE_NONE);
}

Test(departure, each_stage_leads_to_the_next_when_its_time_is_up)
{
    struct departure departure = asked(DEPARTURE_DRAIN, true, &DELAYED);
    cr_expect(departure.until_ms == 31000);
    cr_expect(!departure_go_on(&departure, 30999, &DELAYED) && departure.stage == DEPARTURE_ANNOUNCED);
    for (int stage = DEPARTURE_DRAINING; stage <= DEPARTURE_KILLING; stage++) {
        cr_expect(departure_go_on(&departure, departure.until_ms, &DELAYED) && (int)departure.stage == stage);
        cr_expect(!departure_go_on(&departure, departure.until_ms - 1, &DELAYED) && (int)departure.stage == stage);
    }
    cr_expect(departure_go_on(&departure, departure.until_ms, &DELAYED) && departure.stage == DEPARTURE_KILLING,
              "whoever does not die is killed again");
}

Test(departure, a_drain_has_its_time_and_the_spread_behind_it)
{
    cr_expect(asked(DEPARTURE_DRAIN, true, &AT_ONCE).until_ms >= 1000 + 3600000 + 60000);
    cr_expect(asked(DEPARTURE_DRAIN, true, &SHORT).until_ms >= 1000 + 200 + 200);
    cr_expect(asked(DEPARTURE_DRAIN, true, &SHORT).until_ms < 1000 + 200 + 60000);
    cr_expect(asked(DEPARTURE_DRAIN, true, &NONE).until_ms > 2000, "the queues of its sockets take their time in any case");
}

Test(departure, a_drain_that_is_over_stops)
{
    struct departure departure = asked(DEPARTURE_DRAIN, true, &AT_ONCE);
    cr_expect(departure_drained(&departure, 2000) && departure.stage == DEPARTURE_STOPPING);
    cr_expect(departure.until_ms > 2000 && departure.until_ms < 60000);
    cr_expect(!departure_drained(&departure, 2000));
    departure = asked(DEPARTURE_DRAIN, true, &DELAYED);
    cr_expect(!departure_drained(&departure, 2000) && departure.stage == DEPARTURE_ANNOUNCED, "who still serves has not drained");
}

Test(departure, a_second_request_stops_and_a_third_kills)
{
    static const enum departure_wish wishes[] = {DEPARTURE_DRAIN, DEPARTURE_STOP};
    for (int i = 0; i < 2; i++) {
        struct departure departure = asked(DEPARTURE_DRAIN, true, i == 0 ? &AT_ONCE : &DELAYED);
        cr_expect(departure_ask(&departure, wishes[i], true, 2000, &DELAYED) && departure.stage == DEPARTURE_STOPPING);
        cr_expect(departure_ask(&departure, wishes[i], true, 3000, &DELAYED) && departure.stage == DEPARTURE_KILLING);
        departure = asked(DEPARTURE_STOP, true, &DELAYED);
        cr_expect(departure_ask(&departure, wishes[i], true, 2000, &DELAYED) && departure.stage == DEPARTURE_KILLING);
    }
}

Test(departure, what_comes_at_once_is_the_same_request_unless_it_asks_for_more)
{
    struct departure departure = asked(DEPARTURE_DRAIN, true, &AT_ONCE);
    cr_expect(!departure_ask(&departure, DEPARTURE_DRAIN, true, 1499, &AT_ONCE) && departure.stage == DEPARTURE_DRAINING);
    cr_expect(departure_ask(&departure, DEPARTURE_STOP, true, 1499, &AT_ONCE) && departure.stage == DEPARTURE_STOPPING);
    cr_expect(!departure_ask(&departure, DEPARTURE_STOP, true, 1998, &AT_ONCE) && departure.stage == DEPARTURE_STOPPING);
    cr_expect(!departure_ask(&departure, DEPARTURE_DRAIN, true, 1998, &AT_ONCE) && departure.stage == DEPARTURE_STOPPING);
    cr_expect(departure_ask(&departure, DEPARTURE_DRAIN, true, 1999, &AT_ONCE) && departure.stage == DEPARTURE_KILLING);
}

Test(drain, the_spread_is_a_minute_or_the_drain_itself)
{
    cr_expect(drain_spread_ms(8 * 3600000) == 60000);
    cr_expect(drain_spread_ms(60001) == 60000);
    cr_expect(drain_spread_ms(59999) == 59999);
    cr_expect(drain_spread_ms(0) == 0);
}

Test(drain, the_rest_is_spread_evenly_and_nobody_is_left_at_the_end)
{
    cr_expect(drain_left(600, 0, 60000) == 600);
    cr_expect(drain_left(600, 100, 60000) == 599);
    cr_expect(drain_left(600, 30000, 60000) == 300);
    cr_expect(drain_left(600, 59999, 60000) == 0);
    cr_expect(drain_left(1, 0, 60000) == 1);
    cr_expect(drain_left(1, 1, 60000) == 0);
    cr_expect(drain_left(600, 60000, 60000) == 0);
    cr_expect(drain_left(600, UINT64_MAX, 60000) == 0);
    cr_expect(drain_left(600, 0, 0) == 0, "no time at all");
    cr_expect(drain_left(10000000, 1, 60000) == 9999833, "ten million are no overflow");
}
