/* A client that the network brought: whether it should be here, and what policy says of it. */
#include "proxy/session_state.h"

#include <string.h>

#include "base/clock.h"
#include "proxy/own_address.h"
#include "proxy/own_dial.h"
#include "proxy/worker.h"

/* The host is the server name, be it none; an address only where a rule over the original one matched. */
static bool session_keep_server_name(struct session *session)
{
    const struct host *host = &session->setup->question.host;
    if (host->kind == HOST_NAME || (host->kind == HOST_ADDRESS && session->verdict.rule != NULL))
        return session_keep_host(session, host->name, strlen(host->name));
    return session->sni == NULL || session_keep_host(session, session->sni, session->sni_len);
}

/* Who connects to the listener itself would be led back to it. */
static bool session_came_straight(const struct session *session)
{
    const uint32_t no_mark = 0; /* there is no route yet */
    return policy_has_never_port(session->config->policy, session->port) &&
           own_address_ask(session->worker->own_address, &session->original, no_mark) != OWN_NO;
}

/* What the network must not have brought; NULL when all is well. */
static const char *session_transparent_fault(const struct session *session)
{
    const struct endpoint original = {.ip = session->original, .port = session->port};
    if (!address_is_set(&original.ip))
        return "the kernel does not say where the client meant to go";
    if (session_came_straight(session))
        return "the client connected to this listener itself: only what the network brings is served";
    if (own_dial_was(&session->client, &original, loop_now_ms(session->worker->loop)))
        return "this is exeat's own connection, brought back by the network: its traffic must be excepted";
    return NULL;
}

void session_judge_transparent(struct session *session, const struct hello_facts *facts)
{
    struct setup *setup = session->setup;
    struct question *question = &setup->question;
    session_update(session);
    question->client = session->client.ip;
    question->port = session->port;
    question->today = clock_day(clock_wall_us());
    policy_decide_transparent(session->config->policy, question, facts, &session->original, &session->verdict);
    if (!session_keep_server_name(session)) {
        session_close(session, REASON_OVERLOAD);
        return;
    }
    setup->fault = session_transparent_fault(session);
    if (setup->fault != NULL && session->verdict.kind != VERDICT_DENY)
        session_close(session, REASON_ADDRESS_FORBIDDEN);
    else
        session_follow_verdict(session);
}
