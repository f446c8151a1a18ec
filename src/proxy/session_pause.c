/* Who is refused too often hears of it a second later: it waits without a worker's attention, and holds what is its own meanwhile. */
#include "proxy/session_state.h"

#include "proxy/refusals.h"
#include "proxy/worker.h"

/* What is exeat's own fault slows nobody down; nor does leaving, nor asking for denials. */
static bool session_is_refused_for_cause(enum reason reason)
{
    if (reason == REASON_CLIENT_GONE || reason == REASON_DENIALS_ASKED)
        return false;
    return reason == REASON_QUOTA || reason_row(reason)->class != CLASS_CAPACITY;
}

/* Strangers have few places among them: half of those stay free for who does not hammer. */
static struct budget *session_pauses(const struct session *session)
{
    struct shared *shared = session->worker->shared;
    return session->stranger ? &shared->stranger_pauses : &shared->pauses;
}

bool session_takes_pause(struct session *session, enum reason reason)
{
    const struct worker *worker = session->worker;
    const uint64_t most = session->config->limits.refusals_per_client;
    if (most == 0 || !session->shares || worker->stopping || !session_is_refused_for_cause(reason))
        return false;
    if (!refusals_count(worker->shared->refusals, &session->client.ip, most, loop_now_ms(worker->loop)))
        return false;
    session->pauses = budget_take(session_pauses(session), 1);
    session->setup->refused = reason;
    return session->pauses;
}

void session_end_pause(struct session *session)
{
    if (session->pauses)
        budget_give(session_pauses(session), 1);
    session->pauses = false;
}
