/* The main thread asks all workers how they stand, and adds up their answers. */
#ifndef EXEAT_PROXY_CENSUS_H
#define EXEAT_PROXY_CENSUS_H

#include "proxy/survey.h"

struct census;
struct event_base;
struct worker;

/* Who asks: the caller's, linked until it is told. */
struct census_wish {
    int wishes; /* enum survey_wish */
    /* Told once, from the loop and never before census_ask() returns. `whole` is only lent; NULL: some worker has not answered for two seconds, or
     * memory ran out. */
    void (*done)(struct census_wish *wish, struct survey *whole);
    struct census_wish *next; /* private */
};

/* Of all workers of a server, which are the caller's. NULL: out of memory. */
struct census *census_new(struct event_base *base, struct worker *const *workers, unsigned count);
/* Who still asks is told nothing. */
void census_free(struct census *census);

/* What is told was found after this call. However many ask, and however often: the workers are asked one time after the other, and no more than
 * twenty times in a second. */
void census_ask(struct census *census, struct census_wish *wish);

/* Worker number `worker` said WORKER_SURVEYED. */
void census_answered(struct census *census, unsigned worker);

#endif
