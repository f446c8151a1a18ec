/* How far exeat is on its way out: what SIGTERM and SIGINT ask for, and what comes when its time is up. */
#include "host/departure.h"

#include "base/drain.h"

/* How long a stop may take before what is left is killed. */
#define STOP_PATIENCE_MS 15000

/* A drain may take so much longer than it has to, to empty the queues of its listening sockets and to write its last records. */
#define DRAIN_PATIENCE_MS 3000

/* timeout(1) and terminals signal a process and its group: what comes so soon after a request is the same one. */
#define SAME_REQUEST_MS 500

static bool departure_enter(struct departure *departure, enum departure_stage stage, uint64_t now_ms, const struct departure_times *times)
{
    departure->stage = stage;
    switch (stage) {
    case DEPARTURE_ANNOUNCED:
        departure->until_ms = now_ms + times->delay_ms;
        break;
    case DEPARTURE_DRAINING:
        departure->until_ms = now_ms + times->timeout_ms + drain_spread_ms(times->timeout_ms) + DRAIN_PATIENCE_MS;
        break;
    default:
        departure->until_ms = now_ms + STOP_PATIENCE_MS;
    }
    return true;
}

static bool departure_is_same(const struct departure *departure, enum departure_wish wish, uint64_t now_ms)
{
    const bool more = wish == DEPARTURE_STOP && departure->stage < DEPARTURE_STOPPING;
    return departure->stage != DEPARTURE_NONE && !more && now_ms - departure->asked_ms < SAME_REQUEST_MS;
}

static enum departure_stage departure_next(const struct departure *departure, enum departure_wish wish, bool serving,
                                           const struct departure_times *times)
{
    if (departure->stage >= DEPARTURE_STOPPING)
        return DEPARTURE_KILLING;
    if (departure->stage != DEPARTURE_NONE || wish == DEPARTURE_STOP || !serving)
        return DEPARTURE_STOPPING;
    return times->delay_ms > 0 ? DEPARTURE_ANNOUNCED : DEPARTURE_DRAINING;
}

bool departure_ask(struct departure *departure, enum departure_wish wish, bool serving, uint64_t now_ms, const struct departure_times *times)
{
    if (departure_is_same(departure, wish, now_ms))
        return false;
    departure->asked_ms = now_ms;
    return departure_enter(departure, departure_next(departure, wish, serving, times), now_ms, times);
}

bool departure_go_on(struct departure *departure, uint64_t now_ms, const struct departure_times *times)
{
    if (departure->stage == DEPARTURE_NONE || now_ms < departure->until_ms)
        return false;
    const enum departure_stage next = departure->stage == DEPARTURE_KILLING ? DEPARTURE_KILLING : departure->stage + 1;
    return departure_enter(departure, next, now_ms, times);
}

bool departure_drained(struct departure *departure, uint64_t now_ms)
{
    return departure->stage == DEPARTURE_DRAINING && departure_enter(departure, DEPARTURE_STOPPING, now_ms, NULL);
}
