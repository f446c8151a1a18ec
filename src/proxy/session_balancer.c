/* Who the client behind a load balancer is: the PROXY header in front of its connection. */
#include "proxy/session_state.h"

#include "proxy/worker.h"

static void session_refuse_balancer(struct session *session, const char *fault)
{
    session->setup->fault = fault;
    session_close(session, REASON_PROXY_HEADER);
}

/* From here on the client is the one that the header names; a balancer that names nobody speaks for itself. One that speaks for itself and says no
 * more than that looks whether somebody is there. */
static void session_introduce(struct session *session, enum proxy_header_result result)
{
    struct setup *setup = session->setup;
    if (result == PROXY_HEADER_CLIENT)
        session->client = setup->balancer.client;
    session->verdict.group = policy_group_of(session->config->policy, &session->client.ip);
    session_consume(setup, setup->balancer.len);
    session->spoke = setup->len > 0 || !address_equal(&session->client.ip, &session->peer);
    if (session_take_share(session))
        session_enter(session, STEP_HEAD);
}

static void session_balancer_feed(struct session *session)
{
    struct setup *setup = session->setup;
    enum proxy_header_result result = proxy_header_feed(&setup->balancer, setup->bytes, setup->len);
    if (result == PROXY_HEADER_MORE)
        return;
    switch (result) {
    case PROXY_HEADER_CLIENT:
    case PROXY_HEADER_SELF:
        session_introduce(session, result);
        break;
    case PROXY_HEADER_LOCAL:
        session_dismiss(session);
        break;
    case PROXY_HEADER_MORE:
    case PROXY_HEADER_BAD:
        session_refuse_balancer(session, setup->balancer.fault);
        break;
    }
}

/* A stranger is refused at its first byte, whatever that is; before it, it may still be a probe. */
void session_balancer_readable(struct session *session)
{
    if (!session_read(session, PROXY_HEADER_MAX + EARLY_MAX, REASON_PROXY_HEADER))
        return;
    if (network_set_find(session->listener->trusted, &session->peer) == NULL)
        session_refuse_balancer(session, "whoever connected is not among `trusted`");
    else
        session_balancer_feed(session);
}

void session_balancer_begin(struct session *session)
{
    proxy_header_init(&session->setup->balancer);
}
