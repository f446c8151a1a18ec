/* The life of a session: its table of steps, the door between them, the door out, and its end. */
#include "proxy/session.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/slab.h"
#include "proxy/client_shares.h"
#include "proxy/origdst.h"
#include "proxy/session_state.h"
#include "proxy/tally.h"
#include "proxy/worker.h"

/* After a refusal: closing with unread bytes would send RST, and the client might never see the answer. */
#define LINGER_MS 1000
#define LINGER_BYTES 65536

/* A journal that takes longer than this to commit one decision is as good as none. The agent itself gives up after 15 s. */
#define COMMIT_TIMEOUT_MS 5000

/* Who was refused too often waits so long for its answer. */
#define PAUSE_MS 1000

/* What a client in no group has for its head or hello. */
#define STRANGER_MS 1000

/* The `end` of a tunnel that exeat itself ends. */
#define END_STOPPED "stopped"
#define END_REVOKED "policy_revoked"

/* ---- the table of steps ---- */

static uint64_t session_balancer_ms(const struct session *session)
{
    return session->config->limits.request_timeout_ms;
}

/* Who is in no group will be refused whatever it says, and holds one of few places until it has said it. */
static uint64_t session_head_ms(const struct session *session)
{
    const uint64_t ms = session->config->limits.request_timeout_ms;
    return session->stranger && ms > STRANGER_MS ? STRANGER_MS : ms;
}

static uint64_t session_hello_ms(const struct session *session)
{
    const uint64_t ms = session->config->limits.hello_timeout_ms;
    return session->stranger && ms > STRANGER_MS ? STRANGER_MS : ms;
}

/* Resolver and dialer keep their own, shorter deadlines; these are for the day when one of them does not call back. */
static uint64_t session_resolve_ms(const struct session *session)
{
    return session->config->dns.timeout_ms + 5000;
}

static uint64_t session_dial_ms(const struct session *session)
{
    return session->config->limits.connect_timeout_ms + 5000;
}

static uint64_t session_commit_ms(const struct session *session)
{
    (void)session;
    return COMMIT_TIMEOUT_MS;
}

static uint64_t session_pause_ms(const struct session *session)
{
    (void)session;
    return PAUSE_MS;
}

static uint64_t session_linger_ms(const struct session *session)
{
    (void)session;
    return LINGER_MS;
}

static void session_linger_begin(struct session *session);
static void session_linger_readable(struct session *session);

static const struct step_row {
    void (*begin)(struct session *session);
    void (*readable)(struct session *session); /* something came from the client; NULL: it waits in its socket */
    uint64_t (*deadline_ms)(const struct session *session);
    enum reason late; /* the reason when the deadline passes */
} STEPS[STEP_COUNT] = {
    [STEP_BALANCER] = {session_balancer_begin, session_balancer_readable, session_balancer_ms, REASON_REQUEST_TIMEOUT},
    [STEP_HEAD] = {session_head_begin, session_head_readable, session_head_ms, REASON_REQUEST_TIMEOUT},
    [STEP_RESOLVE] = {session_resolve_begin, NULL, session_resolve_ms, REASON_DNS_TIMEOUT},
    [STEP_DIAL] = {session_dial_begin, NULL, session_dial_ms, REASON_CONNECT_TIMEOUT},
    [STEP_HELLO] = {session_hello_begin, session_hello_readable, session_hello_ms, REASON_HELLO_TIMEOUT},
    [STEP_COMMIT] = {session_commit_begin, NULL, session_commit_ms, REASON_AUDIT_UNAVAILABLE},
    [STEP_RELAY] = {session_relay_begin, NULL, NULL, REASON_UNKNOWN}, /* the relay watches itself; an open tunnel has no deadline */
    [STEP_PAUSE] = {session_ignore_client, NULL, session_pause_ms, REASON_UNKNOWN},
    [STEP_LINGER] = {session_linger_begin, session_linger_readable, session_linger_ms, REASON_UNKNOWN},
};

/* Most clients say nothing while a step does not listen: only of one who does the event is taken away, until the next step that listens. */
static void session_client_readable(evutil_socket_t fd, short what, void *arg)
{
    struct session *session = arg;
    (void)fd, (void)what;
    if (STEPS[session->step].readable != NULL)
        STEPS[session->step].readable(session);
    else
        event_del(session->client_event);
}

static bool session_listen(struct session *session)
{
    if (session->client_event == NULL)
        session->client_event = loop_event(session->worker->loop, session->client_fd, EV_READ | EV_PERSIST, session_client_readable, session);
    return session->client_event != NULL && event_add(session->client_event, NULL) == 0;
}

static void session_late(evutil_socket_t fd, short what, void *arg);

static bool session_set_deadline(struct session *session, uint64_t (*deadline_ms)(const struct session *session))
{
    if (deadline_ms == NULL) {
        loop_drop(&session->deadline);
        return true;
    }
    if (session->deadline == NULL)
        session->deadline = loop_event(session->worker->loop, -1, 0, session_late, session);
    return session->deadline != NULL && loop_ring_in_ms(session->deadline, deadline_ms(session));
}

static void session_over(struct session *session);
static void session_leave(struct session *session, enum reason reason);

void session_enter(struct session *session, enum session_step step)
{
    const struct step_row *row = &STEPS[step];
    session->step = step;
    if (session_set_deadline(session, row->deadline_ms) && (row->readable == NULL || session_listen(session)))
        row->begin(session);
    else if (step == STEP_LINGER) /* out of memory, and no step goes without its deadline or its ears */
        session_over(session);
    else if (step == STEP_PAUSE)
        session_leave(session, session->setup->refused);
    else
        session_close(session, REASON_OVERLOAD);
}

/* ---- birth ---- */

static void session_bury(struct grave *grave);

struct slab *session_slab_new(void)
{
    return slab_new(sizeof(struct session));
}

static void session_link(struct session *session, struct worker *worker)
{
    session->worker = worker;
    session->next = worker->sessions;
    session->link = &worker->sessions;
    if (session->next != NULL)
        session->next->link = &session->next;
    worker->sessions = session;
    worker->session_count++;
    session->counted = true;
    atomic_fetch_add(&worker->shared->sessions, 1);
}

/* Who was refused counts no more while it lingers: refusals must not be the reason for refusals. */
static void session_uncount(struct session *session)
{
    if (session->counted)
        atomic_fetch_sub(&session->worker->shared->sessions, 1);
    session->counted = false;
    if (session->shares)
        client_shares_give(session->worker->shared->client_shares, &session->client.ip, session->stranger, session->opened_ms > 0);
    session->shares = false;
}

static size_t session_part(size_t all, size_t parts)
{
    return all >= parts ? all / parts : 1;
}

/* One client may hold half of all sessions, or as many as the configuration says, and a quarter before they are tunnels. */
bool session_take_share(struct session *session)
{
    const struct shared *shared = session->worker->shared;
    const size_t wanted = session->config->limits.tunnels_per_client;
    const struct share_limits limits = {
        .pending = session_part(shared->sessions_max, 4),
        .sessions = wanted != 0 ? wanted : session_part(shared->sessions_max, 2),
        .unknown = shared->strangers_max,
    };
    session->stranger = session->verdict.group == NULL;
    const enum share_answer answer = client_shares_take(shared->client_shares, &session->client.ip, session->stranger, &limits);
    session->shares = answer == SHARE_TAKEN;
    if (session->shares)
        return true;
    session->spoke = true; /* it is answered, so it is recorded */
    session_close(session, answer == SHARE_PAST ? REASON_QUOTA : REASON_OVERLOAD);
    return false;
}

/* The load balancer, or where a client that the network brought meant to go. */
static void session_learn_original(struct session *session)
{
    struct endpoint original;
    if (session->listener->proxy_protocol)
        session->peer = session->client.ip;
    if (!listener_is_transparent(session->listener) || !origdst_find(&original, session->client_fd, session->listener->mode))
        return;
    session->original = original.ip;
    session->port = original.port;
}

static struct session *session_new(struct worker *worker, const struct listener *listener, int fd, const struct endpoint *peer)
{
    struct session *session = slab_take(worker->session_slab);
    struct setup *setup = setup_pool_take(&worker->setups);
    if (session == NULL || setup == NULL) {
        slab_give(session);
        setup_pool_give(&worker->setups, setup);
        return NULL;
    }
    *session = (struct session){.grave.bury = session_bury,
                                .config = config_ref(worker->config),
                                .listener = listener_ref(listener),
                                .setup = setup,
                                .client_fd = fd,
                                .origin_fd = -1,
                                .past_http = listener_is_transparent(listener),
                                .too_late = worker->draining,
                                .client = *peer};
    setup->accepted_ms = loop_now_ms(worker->loop);
    session_learn_original(session);
    ulid_make(session->id, clock_wall_us(), worker->shared->mark);
    session->verdict.group = policy_group_of(session->config->policy, &peer->ip); /* known from the start: every record says who */
    session_link(session, worker);
    return session;
}

static void session_close_fd(int *fd, bool reset)
{
    struct linger now = {1, 0};
    if (*fd < 0)
        return;
    if (reset)
        setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(*fd);
    *fd = -1;
}

void session_ignore_client(struct session *session)
{
    loop_drop(&session->client_event);
}

static void session_close_client(struct session *session, bool reset)
{
    session_ignore_client(session);
    session_close_fd(&session->client_fd, reset);
}

/* Without memory for a session there is none for its words either: the connection is reset, and recorded from here. */
static void session_stillborn(struct worker *worker, const struct listener *listener, int fd, const struct endpoint *peer)
{
    char id[ULID_TEXT_MAX];
    ulid_make(id, clock_wall_us(), worker->shared->mark);
    struct record record = {
        .event = EVENT_DECISION,
        .id = id,
        .listener = listener->name,
        .mode = listener_mode_text(listener->mode),
        .client_ip = peer->ip,
        .client_port = peer->port,
        .peer_ip = listener->proxy_protocol ? peer->ip : (struct address){.family = FAMILY_NONE},
        .verdict = verdict_text(VERDICT_DENY),
        .class = reason_class_text(CLASS_CAPACITY),
        .reason = reason_row(REASON_OVERLOAD)->code,
        .policy = worker->config->digest,
    };
    journal_queue_add(worker->journal, &record, NEED_REFUSAL, REASON_OVERLOAD, NULL);
    tally_decision(worker->tally, listener->name, VERDICT_DENY, REASON_OVERLOAD);
    session_close_fd(&fd, true);
}

static enum session_step session_first_step(const struct listener *listener)
{
    if (listener_is_transparent(listener))
        return STEP_HELLO;
    return listener->proxy_protocol ? STEP_BALANCER : STEP_HEAD;
}

void session_start(struct worker *worker, const struct listener *listener, int fd, const struct endpoint *peer)
{
    struct session *session = session_new(worker, listener, fd, peer);
    if (session == NULL) {
        session_stillborn(worker, listener, fd, peer);
        return;
    }
    if (atomic_load(&worker->shared->sessions) > worker->shared->sessions_max) {
        session->spoke = true; /* it is answered, so it is recorded */
        session_close(session, REASON_OVERLOAD);
        return;
    }
    if (listener->proxy_protocol || session_take_share(session)) /* behind a load balancer it is not known yet whose share */
        session_enter(session, session_first_step(listener));
}

void session_refuse(struct worker *worker, const struct listener *listener, int fd, const struct endpoint *peer)
{
    struct session *session = session_new(worker, listener, fd, peer);
    if (session == NULL) {
        session_stillborn(worker, listener, fd, peer);
        return;
    }
    session->spoke = true;
    session_close(session, REASON_OVERLOAD);
}

/* ---- the door out ---- */

static void session_setup_quiet(struct setup *setup)
{
    if (setup->resolving != NULL)
        resolve_cancel(setup->resolving);
    if (setup->dialing != NULL)
        dial_cancel(setup->dialing);
    setup->resolving = NULL;
    setup->dialing = NULL;
    journal_wait_cancel(&setup->commit);
}

/* Takes back whatever is under way, so that nothing calls a session that is on its way out. */
static void session_quiet(struct session *session)
{
    if (session->setup != NULL)
        session_setup_quiet(session->setup);
    relay_stop(&session->relay);
    loop_drop(&session->deadline);
}

void session_setup_free(struct session *session)
{
    setup_pool_give(&session->worker->setups, session->setup);
    session->setup = NULL;
}

static void session_bury(struct grave *grave)
{
    struct session *session = (struct session *)grave;
    session_setup_free(session);
    if (session->sni != session->host)
        free(session->sni);
    free(session->host);
    free(session->user);
    listener_unref(session->listener);
    if (session->judged)
        config_release(session->config);
    else
        config_unref(session->config);
    slab_give(session);
}

static void session_over(struct session *session)
{
    struct worker *worker = session->worker;
    session_quiet(session);
    session_close_client(session, false);
    session_close_fd(&session->origin_fd, false);
    if (worker->review_next == session)
        worker->review_next = session->next;
    *session->link = session->next;
    if (session->next != NULL)
        session->next->link = session->link;
    worker->session_count--;
    if (session->lingers)
        budget_give(&worker->shared->lingers, 1);
    session_meter_free(session);
    session_uncount(session);
    if (session->owed == NULL) {
        loop_bury(worker->loop, &session->grave);
        return;
    }
    session->next = worker->owing;
    worker->owing = session;
    worker_settle_later(worker);
}

bool session_settle_owed(struct worker *worker)
{
    struct session *session;
    while ((session = worker->owing) != NULL && session_record_owed(session)) {
        worker->owing = session->next;
        loop_bury(worker->loop, &session->grave);
    }
    return worker->owing != NULL;
}

/* Without lingering: what has come already is taken, up to a buffer full, so that closing sends no reset over the answer. */
static void session_hang_up(struct session *session)
{
    if (session->client_fd >= 0) {
        recv(session->client_fd, session->worker->loop->scratch, LOOP_SCRATCH_SIZE, MSG_DONTWAIT);
        shutdown(session->client_fd, SHUT_WR);
    }
    session_over(session);
}

/* Tells the client why, and lets it linger. Who lingers holds a descriptor, so not everybody may. */
static void session_leave(struct session *session, enum reason reason)
{
    const struct worker *worker = session->worker;
    session_end_pause(session);
    if (session_answer_refusal(session, reason))
        session_close_client(session, true);
    session->lingers = session->client_fd >= 0 && !worker->stopping && budget_take(&worker->shared->lingers, 1);
    if (session->lingers)
        session_enter(session, STEP_LINGER);
    else
        session_hang_up(session);
}

/* Ended before it sent anything: no decision is owed, only a count. */
static bool session_is_probe(const struct session *session, enum reason reason)
{
    return !session->spoke && reason == REASON_CLIENT_GONE;
}

void session_dismiss(struct session *session)
{
    const struct listener *listener = session->listener;
    journal_queue_probe(session->worker->journal, listener->name, listener_mode_text(listener->mode), &session->client.ip, &session->peer);
    session_hang_up(session);
}

void session_close(struct session *session, enum reason reason)
{
    session_quiet(session);
    session_close_fd(&session->origin_fd, false);
    if (session_is_probe(session, reason)) {
        session_dismiss(session);
        return;
    }
    session_record_denial(session, reason);
    if (session_takes_pause(session, reason))
        session_enter(session, STEP_PAUSE);
    else
        session_leave(session, reason);
}

static bool session_is_reset(const char *end)
{
    return strcmp(end, relay_end_text(RELAY_CLIENT_RESET)) == 0 || strcmp(end, relay_end_text(RELAY_ORIGIN_RESET)) == 0 ||
           strcmp(end, relay_end_text(RELAY_UNREACHABLE)) == 0;
}

/* A reset on one side is passed on to the other: who only sees FIN takes half an answer for a whole one. */
void session_end(struct session *session, const char *end, const char *detail)
{
    bool reset = session_is_reset(end);
    session_record_close(session, end, detail);
    session_quiet(session);
    session_close_fd(&session->origin_fd, reset);
    session_close_client(session, reset);
    session_over(session);
}

/* The decision is with the journal, but the tunnel never opens. Its `close` says so. */
static void session_take_back(struct session *session, const char *end, const char *detail, enum reason reason)
{
    session_record_close(session, end, detail);
    session_quiet(session);
    session_close_fd(&session->origin_fd, false);
    session_leave(session, reason);
}

void session_uncommitted(struct session *session, const char *detail)
{
    session_take_back(session, END_STOPPED, detail, REASON_AUDIT_UNAVAILABLE);
}

void session_revoke(struct session *session, const char *detail)
{
    if (session->step == STEP_COMMIT)
        session_take_back(session, END_REVOKED, detail, REASON_POLICY_REVOKED);
    else
        session_end(session, END_REVOKED, detail);
}

static void session_late(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct session *session = arg;
    if (session->step == STEP_LINGER) {
        session_over(session);
    } else if (session->step == STEP_PAUSE) {
        session_leave(session, session->setup->refused);
    } else if (session->step == STEP_COMMIT && session->config->audit.continue_on_failure) {
        journal_wait_cancel(&session->setup->commit);
        session_enter(session, STEP_RELAY);
    } else if (session->step == STEP_COMMIT) {
        session_uncommitted(session, "the decision was not committed in time: the tunnel was not opened");
    } else {
        session_close(session, STEPS[session->step].late);
    }
}

/* What waits in its socket has not been read yet, but was sent. */
static bool session_has_spoken(const struct session *session)
{
    char byte;
    return session->spoke || recv(session->client_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void session_stop(struct session *session)
{
    if (session->step == STEP_LINGER) {
        session_hang_up(session);
    } else if (session->step == STEP_PAUSE) {
        session_leave(session, session->setup->refused);
    } else if (session->decided) {
        atomic_fetch_add(&session->worker->shared->cut, 1);
        session_end(session, END_STOPPED, NULL);
    } else {
        session->spoke = session_has_spoken(session);
        session_close(session, session->spoke ? REASON_DRAINING : REASON_CLIENT_GONE);
    }
}

void session_stop_down_to(struct worker *worker, size_t count)
{
    for (struct session *session = worker->sessions, *next; session != NULL && worker->session_count > count; session = next) {
        next = session->next;
        session_stop(session);
    }
}

/* ---- the linger ---- */

static void session_linger_readable(struct session *session)
{
    ssize_t got = recv(session->client_fd, session->worker->loop->scratch, LOOP_SCRATCH_SIZE, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0)
        session->lingered += (uint32_t)got;
    if (got <= 0 || session->lingered >= LINGER_BYTES)
        session_over(session);
}

static void session_linger_begin(struct session *session)
{
    session_setup_free(session);
    session_uncount(session);
    shutdown(session->client_fd, SHUT_WR);
}
