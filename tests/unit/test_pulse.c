/* The sign of life: all workers, or none. */
#include "proxy/pulse.h"

#include <criterion/criterion.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/channel.h"
#include "proxy/census.h"
#include "proxy/mailbox.h"
#include "proxy/worker.h"

enum { WORKERS = 2, EVERY_MS = 20 };

/* Workers that are only mailboxes: each answers as long as it is not stuck. */
static struct event_base *base;
static struct worker made[WORKERS];
static struct worker *workers[WORKERS];
static struct census *census;
static struct pulse *pulse;
static bool stuck, without_journal;
static int ends[2];

static void take(void *arg, int order, intptr_t wishes)
{
    struct worker *worker = arg;
    cr_assert(order == ORDER_SURVEY && wishes == 0, "more is asked for than a sign of life");
    if (stuck && worker->number == 1)
        return;
    worker->survey = calloc(1, sizeof(*worker->survey));
    cr_assert(worker->survey != NULL);
    *worker->survey = (struct survey){.workers = 1, .journal_ready = without_journal && worker->number == 1 ? 0 : 1};
    census_answered(census, worker->number);
}

static void enter(void)
{
    base = event_base_new();
    for (unsigned i = 0; i < WORKERS; i++) {
        made[i] = (struct worker){.number = i, .mailbox = mailbox_new(base, take, &made[i])};
        workers[i] = &made[i];
    }
    census = census_new(base, workers, WORKERS);
    cr_assert(census != NULL && channel_pair(ends));
    pulse = pulse_new(base, census, ends[0], EVERY_MS);
    cr_assert(pulse != NULL);
}

static void leave(void)
{
    pulse_free(pulse);
    census_free(census);
    for (unsigned i = 0; i < WORKERS; i++) {
        mailbox_free(made[i].mailbox);
        survey_free(made[i].survey);
    }
    event_base_free(base);
    close(ends[0]);
    close(ends[1]);
    libevent_global_shutdown();
}

TestSuite(pulse, .init = enter, .fini = leave);

/* What has been said until there is something, or the time is up; -1: nothing. */
static int64_t next_said(unsigned limit_ms)
{
    struct channel_message message;
    const uint64_t until_ms = clock_monotonic_ms() + limit_ms;
    const struct timeval moment = {.tv_usec = 5000};
    do {
        event_base_loopexit(base, &moment);
        event_base_dispatch(base);
        if (channel_receive(ends[1], &message, false) > 0) {
            cr_expect_eq(message.kind, CHANNEL_ALIVE);
            return message.a;
        }
    } while (clock_monotonic_ms() < until_ms);
    return -1;
}

Test(pulse, again_and_again)
{
    for (int i = 0; i < 5; i++)
        cr_expect_eq(next_said(5000), 1);
}

Test(pulse, it_says_that_tunnels_are_refused)
{
    without_journal = true;
    cr_expect_eq(next_said(5000), 0);
}

Test(pulse, while_tunnels_are_refused_it_comes_often)
{
    pulse_free(pulse);
    pulse = pulse_new(base, census, ends[0], 60000);
    cr_assert(pulse != NULL);
    without_journal = true;
    cr_expect_eq(next_said(5000), 0);
    without_journal = false;
    cr_expect_eq(next_said(5000), 1, "and soon says that they no longer are");
}

Test(pulse, not_without_one_of_them)
{
    stuck = true;
    cr_expect_eq(next_said(2500), -1, "one worker has not answered: longer than the census waits");
    stuck = false;
    take(&made[1], ORDER_SURVEY, 0); /* what was owed comes late */
    cr_expect_eq(next_said(5000), 1, "and it lives again");
}
