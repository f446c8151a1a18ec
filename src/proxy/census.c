/* The main thread asks all workers how they stand, and adds up their answers. */
#include "proxy/census.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"
#include "proxy/loop.h"
#include "proxy/worker.h"

/* A worker that does not answer for so long hangs: an agent's stream would be cut by 15 s of it. */
#define PATIENCE_MS 2000

/* Whoever can reach the door for metrics must not keep the workers busy with it. */
#define ROUND_EVERY_MS 50

/* One round is under way at most: who comes meanwhile waits for the next. */
struct census {
    struct worker *const *workers;
    unsigned count;
    struct census_wish *waiting, *asking; /* for the next round, in the one under way */
    unsigned owed;                        /* answers of this round that have not come; those of one that was given up are awaited, too */
    struct survey *sum;                   /* NULL: the round was given up, or none is under way */
    uint64_t begun_ms;
    struct event *due; /* the next round may begin, or this one is given up */
};

static void census_due(evutil_socket_t fd, short what, void *arg);

struct census *census_new(struct event_base *base, struct worker *const *workers, unsigned count)
{
    struct census *census = calloc(1, sizeof(*census));
    if (census == NULL)
        return NULL;
    census->workers = workers;
    census->count = count;
    census->due = evtimer_new(base, census_due, census);
    if (census->due != NULL)
        return census;
    census_free(census);
    return NULL;
}

void census_free(struct census *census)
{
    if (census == NULL)
        return;
    if (census->due != NULL)
        event_free(census->due);
    survey_free(census->sum);
    free(census);
}

/* Each may ask again from within. */
static void census_tell(struct census_wish *wish, struct survey *whole)
{
    for (struct census_wish *next; wish != NULL; wish = next) {
        next = wish->next;
        wish->done(wish, whole);
    }
}

/* Tells who asked in this round, and makes room for the next. */
static void census_end(struct census *census, bool whole)
{
    struct survey *sum = census->sum;
    struct census_wish *told = census->asking;
    census->sum = NULL;
    census->asking = NULL;
    census_tell(told, whole ? sum : NULL);
    survey_free(sum);
}

static int census_wishes(const struct census *census)
{
    int wishes = 0;
    for (const struct census_wish *wish = census->asking; wish != NULL; wish = wish->next)
        wishes |= wish->wishes;
    return wishes;
}

static void census_begin(struct census *census)
{
    census->begun_ms = clock_monotonic_ms();
    census->asking = census->waiting;
    census->waiting = NULL;
    census->sum = calloc(1, sizeof(*census->sum));
    const int wishes = census_wishes(census);
    bool asked = census->sum != NULL;
    for (unsigned i = 0; asked && i < census->count; i++) {
        asked = worker_ask(census->workers[i], wishes);
        census->owed += asked;
    }
    (void)loop_ring_in_ms(census->due, PATIENCE_MS);
    if (!asked)
        census_end(census, false);
}

/* While answers of a round that was given up are owed, no other begins: nobody is asked twice at a time. */
static void census_begin_due(struct census *census)
{
    const uint64_t passed_ms = clock_monotonic_ms() - census->begun_ms;
    if (census->waiting == NULL || census->asking != NULL)
        return;
    if (census->owed > 0)
        (void)loop_ring_in_ms(census->due, PATIENCE_MS);
    else if (passed_ms < ROUND_EVERY_MS)
        (void)loop_ring_in_ms(census->due, ROUND_EVERY_MS - passed_ms);
    else
        census_begin(census);
}

static void census_give_up(struct census *census)
{
    if (census->asking == NULL) { /* who waits behind a worker that hangs is told so, too */
        census->asking = census->waiting;
        census->waiting = NULL;
    }
    census_end(census, false);
}

static void census_due(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct census *census = arg;
    if (census->owed > 0)
        census_give_up(census);
    census_begin_due(census);
}

void census_ask(struct census *census, struct census_wish *wish)
{
    struct census_wish **last = &census->waiting;
    while (*last != NULL)
        last = &(*last)->next;
    wish->next = NULL;
    *last = wish;
    if (!evtimer_pending(census->due, NULL))
        (void)loop_ring_in_ms(census->due, 0);
}

static bool census_take(struct census *census, unsigned worker)
{
    struct survey *answer = census->workers[worker]->survey;
    census->workers[worker]->survey = NULL;
    bool whole = answer != NULL && census->sum != NULL && survey_add(census->sum, answer);
    survey_free(answer);
    return whole;
}

void census_answered(struct census *census, unsigned worker)
{
    const bool whole = census_take(census, worker);
    census->owed--;
    if (!whole && census->sum != NULL)
        census_end(census, false);
    if (census->owed > 0)
        return;
    event_del(census->due);
    if (census->sum != NULL)
        census_end(census, true);
    if (census->waiting != NULL)
        (void)loop_ring_in_ms(census->due, 0);
}
