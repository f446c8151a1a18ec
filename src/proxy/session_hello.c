/* Reads the ClientHello: after a CONNECT, or as all that a client says. */
#include "proxy/session_state.h"

#include "proxy/worker.h"

static enum reason session_hello_reason(enum hello_result result)
{
    switch (result) {
    case HELLO_NOT_TLS:
        return REASON_NOT_TLS;
    case HELLO_TOO_LARGE:
        return REASON_HELLO_TOO_LARGE;
    case HELLO_NO_MEMORY:
        return REASON_OVERLOAD;
    case HELLO_MORE:
    case HELLO_DONE:
    case HELLO_MALFORMED:
        break;
    }
    return REASON_HELLO_MALFORMED;
}

static void session_read_facts(struct session *session)
{
    struct setup *setup = session->setup;
    const struct client_hello *hello = &setup->hello;
    struct hello_facts *facts = &setup->facts;
    facts->ech = hello->has_ech;
    facts->sni = SNI_NONE;
    if (hello->has_sni)
        facts->sni = hello->sni_len <= HELLO_SNI_MAX && hostname_read(facts->name, (const char *)hello->sni, hello->sni_len) ? SNI_NAME : SNI_BAD;
    setup->version_text = client_hello_version_text(hello->version, setup->version);
    setup->hello_seen = true;
    session->has_hello = true;
    session->has_ech = hello->has_ech;
}

static bool session_keep_sni(struct session *session)
{
    const struct client_hello *hello = &session->setup->hello;
    if (!hello->has_sni)
        return true;
    session->sni_len = hello->sni_len < HELLO_SNI_MAX ? hello->sni_len : HELLO_SNI_MAX;
    return session_keep(&session->sni, hello->sni, session->sni_len);
}

/* Whether it keeps to what was asked for. */
static void session_judge_hello(struct session *session)
{
    struct setup *setup = session->setup;
    policy_judge_hello(session->config->policy, &setup->question, &setup->facts, &session->verdict);
    if (session->verdict.kind == VERDICT_DENY)
        session_close(session, session->verdict.reason);
    else
        session_enter(session, STEP_COMMIT);
}

static void session_hello_whole(struct session *session)
{
    session_read_facts(session);
    if (!session_keep_sni(session))
        session_close(session, REASON_OVERLOAD);
    else if (listener_is_transparent(session->listener))
        session_judge_transparent(session, &session->setup->facts);
    else
        session_judge_hello(session);
}

static void session_hello_feed(struct session *session)
{
    struct setup *setup = session->setup;
    enum hello_result result = client_hello_feed(&setup->hello, setup->bytes, setup->len);
    if (result == HELLO_MORE)
        return;
    setup->fault = setup->hello.fault;
    if (result == HELLO_DONE)
        session_hello_whole(session);
    else if (result == HELLO_NOT_TLS && listener_is_transparent(session->listener))
        session_judge_transparent(session, NULL);
    else
        session_close(session, session_hello_reason(result));
}

void session_hello_readable(struct session *session)
{
    if (session_read(session, session->config->limits.hello + EARLY_MAX, REASON_HELLO_TOO_LARGE))
        session_hello_feed(session);
}

/* The 200 goes alone, and only when the journal could take the decision. */
static bool session_invite(struct session *session)
{
    if (!journal_queue_is_ready(session->worker->journal)) {
        session_close(session, REASON_AUDIT_UNAVAILABLE);
        return false;
    }
    if (session_answer_established(session))
        return true;
    session_close(session, REASON_CLIENT_GONE);
    return false;
}

/* What the client sent behind its CONNECT, early, is looked at once the 200 is out. */
void session_hello_begin(struct session *session)
{
    client_hello_init(&session->setup->hello, session->config->limits.hello, session->worker->fingerprints);
    if (!session->past_http && !session_invite(session))
        return;
    if (session->setup->len > 0)
        session_hello_feed(session);
}
