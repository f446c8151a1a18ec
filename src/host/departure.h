/* How far exeat is on its way out: what SIGTERM and SIGINT ask for, and what comes when its time is up. */
#ifndef EXEAT_HOST_DEPARTURE_H
#define EXEAT_HOST_DEPARTURE_H

#include <stdbool.h>
#include <stdint.h>

/* One after the other; some may be left out, and none comes back. */
enum departure_stage {
    DEPARTURE_NONE = 0,
    DEPARTURE_ANNOUNCED, /* it says that it is not ready, and serves, for `drain_delay` */
    DEPARTURE_DRAINING,  /* nothing new; what is open goes on, for `drain_timeout`, and is cut in the time behind that */
    DEPARTURE_STOPPING,  /* every session is ended, with its record */
    DEPARTURE_KILLING,   /* whoever is left */
};

/* Of the configuration. */
struct departure_times {
    uint64_t delay_ms, timeout_ms;
};

/* Zeroed it is DEPARTURE_NONE. Times are monotonic ms. */
struct departure {
    enum departure_stage stage;
    uint64_t until_ms; /* the next stage begins then; nothing in DEPARTURE_NONE */
    uint64_t asked_ms; /* private: when it was asked for last */
};

/* What is asked for. */
enum departure_wish {
    DEPARTURE_DRAIN, /* let who is there finish */
    DEPARTURE_STOP,  /* do not */
};

/* A signal asks. The first request is followed as it says, each further one leads to the next stage from DEPARTURE_STOPPING on; but what comes at
 * once behind another and asks for no more is the same request. `serving`: there is something to drain. True: another stage has begun. */
bool departure_ask(struct departure *departure, enum departure_wish wish, bool serving, uint64_t now_ms, const struct departure_times *times);

/* The time of a stage may be up. True: another one has begun; DEPARTURE_KILLING also again and again. */
bool departure_go_on(struct departure *departure, uint64_t now_ms, const struct departure_times *times);

/* All that was open is over: a drain has nothing to wait for any more. True: another stage has begun. */
bool departure_drained(struct departure *departure, uint64_t now_ms);

#endif
