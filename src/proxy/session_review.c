/* What a later policy says of a session: after a reload, and when the day changes on which a rule expires. */
#include "proxy/session.h"

#include "base/clock.h"
#include "policy/review.h"
#include "proxy/session_state.h"
#include "proxy/worker.h"

/* How much of it one turn of the loop does, so that no open tunnel waits for long: judging takes some microseconds, ending a tunnel some ten times as
 * long. */
#define REVIEW_EFFORT 64
#define REVIEW_EFFORT_END 8

#define REVIEW_WORDS_MAX 600

/* ---- what is known ---- */

/* From what the record says: it is all that is left when the tunnel is open. */
static void session_review_hello(const struct session *session, struct hello_facts *hello)
{
    hello->ech = session->has_ech;
    hello->sni = SNI_NONE;
    if (session->sni != NULL)
        hello->sni = hostname_read(hello->name, session->sni, session->sni_len) ? SNI_NAME : SNI_BAD;
}

static enum review_result session_review_by(const struct session *session, const struct config *config, struct verdict *verdict)
{
    struct review_facts facts = {
        .client = session->client.ip,
        .host = session->host,
        .host_len = session->host_len,
        .port = session->port,
        .transparent = listener_is_transparent(session->listener),
        .original = session->original,
        .has_hello = session->has_hello,
        .route = session->verdict.route,
        .egress = session->egress.ip,
        .upstream = session->upstream,
    };
    session_review_hello(session, &facts.hello);
    return policy_review(config->policy, &facts, clock_day(clock_wall_us()), verdict);
}

/* ---- why it falls ---- */

static void session_review_say_denied(const struct verdict *verdict, struct text *out)
{
    text_add(out, reason_row(verdict->reason)->code);
    if (verdict->rule != NULL)
        text_format(out, " by [rule %s] at %s", verdict->rule->name, verdict->rule->at);
}

static void session_review_say(const struct session *session, enum review_result result, const struct verdict *verdict, struct text *out)
{
    char address[ADDRESS_TEXT_MAX];
    switch (result) {
    case REVIEW_DENIED:
        session_review_say_denied(verdict, out);
        break;
    case REVIEW_UNREAD:
        text_add(out, "a ClientHello is demanded, and none was read");
        break;
    case REVIEW_REROUTED:
        text_format(out, "it would take another way, route %s", verdict->route->name);
        break;
    case REVIEW_EGRESS:
        text_format(out, "%s is no source of route %s", address_text(&session->egress.ip, address), verdict->route->name);
        break;
    case REVIEW_UPSTREAM:
        text_format(out, "route %s does not accept %s", verdict->route->name, address_text(&session->upstream.ip, address));
        break;
    case REVIEW_STAYS:
        break;
    }
}

/* ---- those that are being set up ---- */

/* Everything that points into the old one is new with it. */
static void session_adopt(struct session *session, const struct verdict *verdict)
{
    struct config *old = session->config;
    session->config = config_ref(session->worker->config);
    session->verdict = *verdict;
    config_unref(old);
}

void session_update(struct session *session)
{
    const struct config *newest = session->worker->config;
    if (session->config == newest)
        return;
    const struct verdict verdict = {.group = policy_group_of(newest->policy, &session->client.ip)};
    session_adopt(session, &verdict);
}

static void session_close_revoked(struct session *session, enum review_result result)
{
    struct setup *setup = session->setup;
    struct text words;
    text_init(&words, setup->detail, sizeof(setup->detail));
    text_add(&words, "a policy that came meanwhile says: ");
    session_review_say(session, result, &session->verdict, &words);
    session_close(session, REASON_POLICY_REVOKED);
}

bool session_confirm(struct session *session)
{
    const struct config *newest = session->worker->config;
    if (session->config == newest && session->setup->question.today == clock_day(clock_wall_us()))
        return true;
    struct verdict verdict;
    const enum review_result result = session_review_by(session, newest, &verdict);
    session_adopt(session, &verdict);
    if (result == REVIEW_STAYS)
        return true;
    session_close_revoked(session, result);
    return false;
}

/* ---- those whose decision was given to the journal ---- */

/* Where there is no memory for another meter, it stays with the one that it has. */
static void session_review_meter(struct session *session)
{
    if (session->step == STEP_RELAY)
        (void)session_meter(session);
}

static bool session_review(struct session *session)
{
    const struct config *config = session->worker->config;
    char bytes[REVIEW_WORDS_MAX];
    struct text words;
    struct verdict verdict;
    if (!session->decided || session->step == STEP_LINGER)
        return true;
    const enum review_result result = session_review_by(session, config, &verdict);
    if (result == REVIEW_STAYS || config->keep_revoked) {
        session_review_meter(session);
        return true;
    }
    text_init(&words, bytes, sizeof(bytes));
    text_format(&words, "policy %s says: ", config->digest);
    session_review_say(session, result, &verdict, &words);
    session_revoke(session, words.at);
    return false;
}

bool session_review_some(struct worker *worker)
{
    struct session *session;
    for (unsigned effort = 0; effort < REVIEW_EFFORT && (session = worker->review_next) != NULL;) {
        worker->review_next = session->next;
        effort += session_review(session) ? 1 : REVIEW_EFFORT_END;
    }
    return worker->review_next != NULL;
}
