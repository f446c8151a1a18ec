/* Asking all workers how they stand: many who ask, few questions, and workers that do not answer. */
#include "proxy/census.h"

#include <criterion/criterion.h>
#include <event2/event.h>
#include <stdlib.h>

#include "base/clock.h"
#include "proxy/mailbox.h"
#include "proxy/worker.h"

enum { WORKERS = 2 };

/* Workers that are only mailboxes: they answer when their base is let run. */
static struct event_base *ours, *theirs;
static struct worker made[WORKERS];
static struct worker *workers[WORKERS];
static struct census *census;
static int asked[WORKERS], wishes_seen;
static bool out_of_memory;

static void take(void *arg, int order, intptr_t wishes)
{
    struct worker *worker = arg;
    cr_assert(order == ORDER_SURVEY);
    asked[worker->number]++;
    wishes_seen = (int)wishes;
    survey_free(worker->survey);
    worker->survey = out_of_memory ? NULL : calloc(1, sizeof(*worker->survey));
    if (worker->survey != NULL)
        *worker->survey = (struct survey){.workers = 1, .journal_filed = (uint64_t)asked[worker->number]};
    census_answered(census, worker->number);
}

static void enter(void)
{
    ours = event_base_new();
    theirs = event_base_new();
    for (unsigned i = 0; i < WORKERS; i++) {
        made[i] = (struct worker){.number = i, .mailbox = mailbox_new(theirs, take, &made[i])};
        workers[i] = &made[i];
    }
    census = census_new(ours, workers, WORKERS);
    cr_assert(census != NULL);
}

static void leave(void)
{
    census_free(census);
    for (unsigned i = 0; i < WORKERS; i++) {
        mailbox_free(made[i].mailbox);
        survey_free(made[i].survey);
    }
    event_base_free(ours);
    event_base_free(theirs);
    libevent_global_shutdown();
}

TestSuite(census, .init = enter, .fini = leave);

struct asker {
    struct census_wish wish;
    int told;
    bool whole;
    unsigned workers;
    uint64_t filed;
    struct asker *then; /* asks from within */
};

static void ask(struct asker *asker);

static void told(struct census_wish *wish, struct survey *whole)
{
    struct asker *asker = (struct asker *)wish;
    asker->told++;
    asker->whole = whole != NULL;
    asker->workers = whole != NULL ? whole->workers : 0;
    asker->filed = whole != NULL ? whole->journal_filed : 0;
    if (asker->then != NULL)
        ask(asker->then);
}

static void ask(struct asker *asker)
{
    asker->wish.done = told;
    census_ask(census, &asker->wish);
}

/* Lets the main thread run, and the workers too where they do not hang, until this one was told. */
static void run_until(const struct asker *asker, bool answering)
{
    const struct timeval most = {.tv_usec = 10000};
    const uint64_t late_ms = clock_monotonic_ms() + 20000;
    while (asker->told == 0) {
        cr_assert(clock_monotonic_ms() < late_ms, "nobody was told");
        event_base_loopexit(ours, &most);
        event_base_dispatch(ours);
        if (answering)
            event_base_loop(theirs, EVLOOP_NONBLOCK);
    }
}

Test(census, many_who_ask_are_one_question)
{
    struct asker askers[3] = {{.wish = {.wishes = SURVEY_COUNTS}}, {.wish = {.wishes = 0}}, {.wish = {.wishes = SURVEY_TUNNELS}}};
    for (size_t i = 0; i < 3; i++) {
        ask(&askers[i]);
        cr_expect(askers[i].told == 0, "never before it returns");
    }
    run_until(&askers[2], true);
    for (size_t i = 0; i < 3; i++)
        cr_expect(askers[i].told == 1 && askers[i].whole && askers[i].workers == WORKERS);
    cr_expect(asked[0] == 1 && asked[1] == 1 && wishes_seen == (SURVEY_COUNTS | SURVEY_TUNNELS));
}

Test(census, who_asks_while_others_are_told_hears_of_another_time)
{
    struct asker second = {.told = 0}, first = {.then = &second};
    ask(&first);
    run_until(&first, true);
    cr_expect(first.filed == WORKERS && second.told == 0);
    run_until(&second, true);
    cr_expect(first.told == 1 && second.whole && second.filed == 2 * WORKERS, "each was asked once more");
}

Test(census, a_worker_that_hangs_is_told_of_and_is_asked_again_when_it_is_back)
{
    struct asker first = {.told = 0}, second = {.told = 0}, third = {.told = 0};
    const uint64_t begun_ms = clock_monotonic_ms();
    ask(&first);
    run_until(&first, false);
    cr_expect(!first.whole && clock_monotonic_ms() - begun_ms >= 1900, "it was waited for");
    ask(&second);
    run_until(&second, false);
    cr_expect(!second.whole && clock_monotonic_ms() - begun_ms < 3900, "it is known by now");
    event_base_loop(theirs, EVLOOP_NONBLOCK); /* the answer to the first, late */
    cr_expect(asked[0] == 1 && asked[1] == 1, "not twice at a time");
    ask(&third);
    run_until(&third, true);
    cr_expect(third.whole && third.filed == 2 * WORKERS, "and what came late is no part of it");
    cr_expect(first.told == 1 && second.told == 1);
}

Test(census, an_answer_for_which_there_was_no_memory_is_none)
{
    struct asker first = {.told = 0}, second = {.told = 0};
    out_of_memory = true;
    ask(&first);
    run_until(&first, true);
    cr_expect(!first.whole);
    out_of_memory = false;
    ask(&second);
    run_until(&second, true);
    cr_expect(second.whole && first.told == 1);
}

Test(census, nobody_keeps_the_workers_busy)
{
    struct asker again = {.told = 0};
    const uint64_t begun_ms = clock_monotonic_ms();
    int times = 0;
    while (clock_monotonic_ms() - begun_ms < 300) {
        again.told = 0;
        ask(&again);
        run_until(&again, true);
        times++;
    }
    cr_expect(times <= 7 && asked[0] == times, "%d times", times);
}
