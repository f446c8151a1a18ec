/* What the journal is told of a session: its decision and its close. */
#include "proxy/session_state.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/denials.h"
#include "proxy/tally.h"
#include "proxy/worker.h"

/* Of what a client sends enough is kept for the record to show that it was cut. */
static_assert(REQUEST_USER_MAX > RECORD_USER_CHARS && HELLO_SNI_MAX > RECORD_HOST_CHARS && HELLO_ALPN_LEN > RECORD_ALPN_CHARS, "a cut unseen");
static_assert(HELLO_ALPN_MAX >= RECORD_ALPN_MAX, "fewer names kept than recorded");

static struct bytes session_bytes(const char *at, size_t len)
{
    return (struct bytes){at, at != NULL ? len : 0};
}

static struct bytes session_words(const char *text)
{
    return session_bytes(text, text != NULL ? strlen(text) : 0);
}

/* What decision and close both say: who, where to, by which rule and which way. */
static void session_fill(const struct session *session, struct record *record, enum record_event event)
{
    const struct verdict *verdict = &session->verdict;
    *record = (struct record){.time_us = clock_wall_us(),
                              .event = event,
                              .id = session->id,
                              .listener = session->listener->name,
                              .mode = listener_mode_text(session->listener->mode)};
    record->client_ip = session->client.ip;
    record->client_port = session->client.port;
    record->peer_ip = session->peer;
    record->client_group = verdict->group != NULL ? verdict->group->name : NULL;
    record->client_user = session_bytes(session->user, session->user_len);
    record->host = session_bytes(session->host, session->host_len);
    record->port = session->port;
    record->sni = session_bytes(session->sni, session->sni_len);
    record->original_ip = session->original;
    if (verdict->rule != NULL) {
        record->rule = verdict->rule->name;
        record->rule_at = verdict->rule->at;
    }
    record->policy = session->config->digest;
    record->route = verdict->route != NULL ? verdict->route->name : NULL;
    record->egress_ip = session->egress.ip;
    record->egress_port = session->egress.port;
    record->egress_public_ip = session->egress_public;
    record->upstream_ip = session->upstream.ip;
    record->upstream_port = session->upstream.port;
}

/* What only the decision says: what the client looked like, and how long the way out took. */
static void session_fill_setup(const struct session *session, struct record *record)
{
    const struct setup *setup = session->setup;
    if (setup == NULL)
        return;
    record->has_dns_ms = setup->has_dns_ms;
    record->dns_ms = setup->dns_ms;
    record->has_connect_ms = setup->has_connect_ms;
    record->connect_ms = setup->connect_ms;
    record->user_agent = session_words(setup->user_agent);
    if (!setup->hello_seen)
        return;
    record->has_hello = true;
    record->ech = setup->hello.has_ech;
    record->ja4 = setup->hello.ja4;
    record->tls_version = setup->version_text;
    record->alpn_count = setup->hello.alpn_count;
    for (size_t i = 0; i < RECORD_ALPN_MAX && i < record->alpn_count; i++)
        record->alpn[i] = (struct bytes){setup->hello.alpn[i].bytes, setup->hello.alpn[i].len};
}

static void session_fill_verdict(struct record *record, enum verdict_kind kind, enum reason reason)
{
    const struct reason_row *row = reason_row(reason);
    record->verdict = verdict_text(kind);
    record->class = kind == VERDICT_ALLOW ? NULL : reason_class_text(row->class);
    record->reason = row->code;
}

/* What the metrics say is what the records say: counted here, once for each decision, and in the same milliseconds. */
static void session_tally(const struct session *session, enum verdict_kind kind, enum reason reason, const struct record *record)
{
    struct tally *tally = session->worker->tally;
    tally_decision(tally, session->listener->name, kind, reason);
    if (session->verdict.rule != NULL)
        tally_hit(tally, session->verdict.rule->name, &session->client.ip, record->time_us);
    if (record->has_dns_ms)
        tally_time(&tally->dns, record->dns_ms);
    if (record->has_connect_ms)
        tally_time(&tally->connect, record->connect_ms);
}

enum session_recorded session_record_allow(struct session *session)
{
    struct record record;
    bool at_once = false;
    session_fill(session, &record, EVENT_DECISION);
    session_fill_setup(session, &record);
    session_fill_verdict(&record, session->verdict.kind, session->verdict.reason);
    if (!journal_queue_add(session->worker->journal, &record, NEED_DECISION, session->verdict.reason, &at_once))
        return RECORDED_NOT;
    session_tally(session, session->verdict.kind, session->verdict.reason, &record);
    session->decided = true;
    return at_once ? RECORDED_AT_ONCE : RECORDED_WAIT;
}

static void session_remember_denial(struct session *session, const char *code)
{
    struct denial denial = {.time_us = clock_wall_us(), .client = session->client.ip, .port = session->port, .reason = code};
    memcpy(denial.id, session->id, sizeof(denial.id));
    denial.host_len = session->host_len < sizeof(denial.host) ? session->host_len : sizeof(denial.host);
    if (denial.host_len > 0)
        memcpy(denial.host, session->host, denial.host_len);
    if (session->verdict.rule != NULL)
        text_copy(denial.rule, sizeof(denial.rule), session->verdict.rule->name, strlen(session->verdict.rule->name));
    denials_add(session->worker->shared->denials, &denial);
}

static const char *session_denial_detail(const struct setup *setup)
{
    if (setup == NULL)
        return NULL;
    if (setup->detail[0] != '\0')
        return setup->detail;
    return setup->fault != NULL ? setup->fault : setup->cause;
}

void session_record_denial(struct session *session, enum reason reason)
{
    struct record record;
    session_fill(session, &record, EVENT_DECISION);
    session_fill_setup(session, &record);
    session_fill_verdict(&record, VERDICT_DENY, reason);
    record.detail = session_words(session_denial_detail(session->setup));
    journal_queue_add(session->worker->journal, &record, NEED_REFUSAL, reason, NULL);
    session_tally(session, VERDICT_DENY, reason, &record);
    bool may_ask = session->verdict.group != NULL && session->verdict.group->denials; /* nobody else could ever see it */
    if (may_ask && reason != REASON_DENIALS_ASKED && reason != REASON_CLIENT_GONE)
        session_remember_denial(session, record.reason);
}

static bool session_add_close(struct session *session, const char *end, const char *detail)
{
    struct record record;
    session_fill(session, &record, EVENT_CLOSE);
    record.has_close = true;
    record.bytes_up = relay_bytes_up(&session->relay);
    record.bytes_down = relay_bytes_down(&session->relay);
    record.duration_ms = session->opened_ms != 0 ? loop_now_ms(session->worker->loop) - session->opened_ms : 0;
    record.end = end;
    record.detail = session_words(detail);
    return journal_queue_add(session->worker->journal, &record, NEED_CLOSE, session->verdict.reason, NULL) ||
           session->config->audit.continue_on_failure; /* then it is counted */
}

void session_record_close(struct session *session, const char *end, const char *detail)
{
    const struct verdict *verdict = &session->verdict;
    tally_bytes(session->worker->tally, verdict->route != NULL ? verdict->route->name : NULL, verdict->rule != NULL ? verdict->rule->name : NULL,
                relay_bytes_up(&session->relay), relay_bytes_down(&session->relay));
    session->owed = session_add_close(session, end, detail) ? NULL : end;
}

bool session_record_owed(struct session *session)
{
    if (session_add_close(session, session->owed, NULL))
        session->owed = NULL;
    return session->owed == NULL;
}
