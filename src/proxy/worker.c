/* One worker: a thread with its own event loop, listeners, resolver, journal queue and sessions; nothing here is shared but what `shared` says. */
#include "proxy/worker.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/journal_generations.h"
#include "audit/record.h"
#include "base/drain.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/slab.h"
#include "base/text.h"
#include "proxy/edition.h"
#include "proxy/listening.h"
#include "proxy/mailbox.h"
#include "proxy/own_address.h"
#include "proxy/relay.h"
#include "proxy/resolver.h"
#include "proxy/session.h"
#include "proxy/survey.h"
#include "wire/ja4_cache.h"

/* A journal that does not come at all must not keep the listeners shut: then every tunnel is refused, which is an answer.
 * Longer than a journal tries to lock its file: one that cannot have it must have said so before anybody is ready. */
#define START_PATIENCE_MS 4000

/* A stop waits this long for the last records to be on file, for all that it has to do; the supervisor is more patient by a third. */
#define STOP_PATIENCE_MS 10000

/* How often it is looked whether what is waited for is there. */
#define LOOK_EVERY_MS 10

static const struct timeval LOOK_EVERY = {0, LOOK_EVERY_MS * 1000};

/* … where it may last for hours. */
#define DRAIN_LOOK_EVERY_MS 100

static const struct timeval DRAIN_LOOK_EVERY = {0, DRAIN_LOOK_EVERY_MS * 1000};

static void worker_take_order(void *arg, int order, intptr_t value);
static void worker_look(evutil_socket_t fd, short what, void *arg);
static void worker_review(evutil_socket_t fd, short what, void *arg);
static void worker_settle(evutil_socket_t fd, short what, void *arg);

struct worker *worker_new(unsigned number, struct config *config, struct shared *shared)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL)
        return NULL;
    worker->number = number;
    worker->shared = shared;
    worker->config = config_ref(config);
    worker->session_slab = session_slab_new();
    worker->loop = loop_new();
    if (worker->loop != NULL) {
        const struct journal_settings settings = {
            .instance = config->name, .continue_on_failure = config->audit.continue_on_failure, .probes = shared->probes};
        struct event_base *base = worker->loop->base;
        worker->journal = journal_queue_new(base, &settings);
        worker->resolver = resolver_new(worker->loop);
        worker->own_address = own_address_new();
        worker->fingerprints = ja4_cache_new(hash_seed());
        worker->listening = listening_new(worker);
        worker->mailbox = mailbox_new(base, worker_take_order, worker);
        worker->tally = tally_new();
        worker->look = event_new(base, -1, EV_PERSIST, worker_look, worker);
        worker->review = evtimer_new(base, worker_review, worker);
        worker->settle = evtimer_new(base, worker_settle, worker);
        worker->loop->pipes = pipe_pool_new(worker->loop, &shared->pipes);
        worker->loop->looks = relay_looks_new(worker->loop, RELAY_LOOK_MS);
    }
    if (worker->session_slab == NULL || worker->loop == NULL || worker->journal == NULL || worker->resolver == NULL || worker->own_address == NULL ||
        worker->listening == NULL || worker->mailbox == NULL || worker->tally == NULL || worker->look == NULL || worker->review == NULL ||
        worker->settle == NULL || worker->loop->pipes == NULL || worker->loop->looks == NULL) {
        worker_free(worker);
        return NULL;
    }
    return worker;
}

bool worker_order(struct worker *worker, enum worker_order order, intptr_t value)
{
    return mailbox_put(worker->mailbox, (int)order, value);
}

bool worker_ask(struct worker *worker, int wishes)
{
    return mailbox_put(worker->mailbox, ORDER_SURVEY, wishes);
}

static void worker_report(struct worker *worker, enum worker_news news)
{
    worker->shared->report(worker->shared->report_arg, worker->number, (int)news);
}

static void worker_record(struct worker *worker, enum record_event event, const char *policy, const char *detail)
{
    struct record record = {.event = event, .policy = policy, .detail = {detail, detail != NULL ? strlen(detail) : 0}};
    journal_queue_add(worker->journal, &record, NEED_KEEP, REASON_UNKNOWN, NULL);
}

/* ---- what is waited for: phase after phase, each until it is there or its time is up ---- */

static void worker_await(struct worker *worker, enum worker_phase phase, uint64_t until_ms)
{
    worker->phase = phase;
    worker->phase_until_ms = until_ms;
    event_add(worker->look, phase == PHASE_DRAINING ? &DRAIN_LOOK_EVERY : &LOOK_EVERY);
}

static void worker_started(struct worker *worker, bool committed)
{
    if (!committed)
        log_warn("the audit journal has not committed the start record yet: tunnels are refused until it can");
    worker->began = true;
    worker_report(worker, WORKER_STARTED);
}

/* Everything that is owed is on file. A generation that never began owes nothing but its `start`. */
static bool worker_is_settled(const struct worker *worker)
{
    bool owes = worker->began || worker->number != 0;
    return !owes || (journal_queue_is_empty(worker->journal) && worker->owing == NULL);
}

static bool worker_is_there(const struct worker *worker)
{
    switch (worker->phase) {
    case PHASE_BEGINNING:
        return journal_queue_is_empty(worker->journal);
    case PHASE_OPENING:
        return journal_queue_is_ready(worker->journal);
    case PHASE_DRAINING:
        return listening_is_over(worker->listening) && worker->session_count == 0 && worker_is_settled(worker);
    case PHASE_STOPPING:
        return worker->session_count == 0 && worker_is_settled(worker);
    case PHASE_ENDING:
        return worker_is_settled(worker);
    case PHASE_SERVING:
        break;
    }
    return true;
}

static void worker_leave_phase(struct worker *worker, enum worker_phase phase, bool there)
{
    switch (phase) {
    case PHASE_BEGINNING:
        worker_started(worker, there);
        break;
    case PHASE_OPENING:
        if (worker->listening != NULL)
            listening_begin(worker->listening);
        worker_report(worker, WORKER_LISTENS);
        break;
    case PHASE_DRAINING:
        worker_report(worker, WORKER_DRAINED);
        break;
    case PHASE_STOPPING:
        worker_report(worker, WORKER_DRY);
        break;
    case PHASE_ENDING:
        worker->lost = !there;
        event_base_loopbreak(worker->loop->base);
        break;
    case PHASE_SERVING:
        break;
    }
}

/* The drain's time may be up: what is open then is ended little by little. */
static void worker_cut(struct worker *worker)
{
    const uint64_t now_ms = loop_now_ms(worker->loop);
    if (now_ms < worker->cut_at_ms)
        return;
    if (worker->cut_from == 0)
        worker->cut_from = worker->session_count;
    session_stop_down_to(worker, drain_left(worker->cut_from, now_ms - worker->cut_at_ms, drain_spread_ms(worker->config->drain_timeout_ms)));
}

static void worker_look(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct worker *worker = arg;
    const enum worker_phase phase = worker->phase;
    if (phase == PHASE_DRAINING)
        worker_cut(worker);
    const bool there = worker_is_there(worker);
    if (!there && loop_now_ms(worker->loop) < worker->phase_until_ms)
        return;
    event_del(worker->look);
    worker->phase = PHASE_SERVING;
    worker_leave_phase(worker, phase, there);
}

/* ---- beginning and ending ---- */

static void worker_begin(struct worker *worker)
{
    char detail[SANDBOX_TEXT_MAX + 32];
    const char *mode = policy_observe_route(worker->config->policy) != NULL ? "observe" : "enforce";
    snprintf(detail, sizeof(detail), "mode %s; %s", mode, worker->shared->holds);
    worker_record(worker, EVENT_START, worker->config->digest, detail);
    worker_await(worker, PHASE_BEGINNING, loop_now_ms(worker->loop) + START_PATIENCE_MS);
}

/* Each worker opens when its own journal socket is up, so that its first denials find a journal, too. */
static void worker_listen(struct worker *worker)
{
    if (!worker->stopping && !worker->draining && !worker->retired)
        worker_await(worker, PHASE_OPENING, loop_now_ms(worker->loop) + START_PATIENCE_MS);
}

/* Who waits in the queues of the listening sockets hears a refusal, and nobody a reset: the supervisor lets nobody else in. */
static void worker_drain(struct worker *worker)
{
    if (worker->stopping || worker->draining)
        return;
    worker->draining = true;
    worker->cut_at_ms = loop_now_ms(worker->loop) + worker->config->drain_timeout_ms;
    listening_leave_all(worker->listening);
    if (!worker->retired) /* else it waits for the same already, or it has come */
        worker_await(worker, PHASE_DRAINING, UINT64_MAX);
}

static void worker_retire(struct worker *worker)
{
    if (worker->stopping || worker->draining || worker->retired)
        return;
    worker->retired = true;
    worker->cut_at_ms = UINT64_MAX;
    listening_retire(worker->listening);
    worker_await(worker, PHASE_DRAINING, UINT64_MAX);
}

static void worker_stop(struct worker *worker)
{
    if (worker->stopping)
        return;
    worker->stopping = true;
    listening_free(worker->listening);
    worker->listening = NULL;
    while (worker->sessions != NULL)
        session_stop(worker->sessions);
    journal_queue_flush(worker->journal);
    if (worker->phase == PHASE_BEGINNING && journal_queue_is_up(worker->journal))
        worker->began = true; /* `start` is on its way, so `stop` is owed */
    worker->stop_until_ms = loop_now_ms(worker->loop) + STOP_PATIENCE_MS;
    worker_await(worker, PHASE_STOPPING, worker->stop_until_ms);
}

/* Of one that is told to stop, and is the last, there is nothing to say. */
static void worker_describe_stop(const struct worker *worker, struct text *detail)
{
    const size_t cut = atomic_load(&worker->shared->cut);
    if (worker->draining || worker->retired)
        text_format(detail, "%s: %zu tunnel%s cut", worker->draining ? "drained" : "retired", cut, cut == 1 ? " was" : "s were");
    if (atomic_load(&worker->shared->others) > 0)
        journal_generation_say_end(detail, worker->shared->mark);
}

/* The `stop` record comes after every other worker's last one: the main thread gives this order last to the worker that wrote `start`. */
static void worker_end(struct worker *worker)
{
    char buffer[128];
    struct text detail;
    text_init(&detail, buffer, sizeof(buffer));
    worker_describe_stop(worker, &detail);
    if (worker->began)
        worker_record(worker, EVENT_STOP, worker->config->digest, detail.len > 0 ? detail.at : NULL);
    worker_await(worker, PHASE_ENDING, worker->stop_until_ms);
}

static void worker_settle(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct worker *worker = arg;
    if (session_settle_owed(worker))
        worker_settle_later(worker);
}

void worker_settle_later(struct worker *worker)
{
    static const struct timeval later = {0, LOOK_EVERY_MS * 1000};
    if (evtimer_add(worker->settle, &later) != 0)
        event_active(worker->settle, EV_TIMEOUT, 0);
}

bool worker_is_listening(const struct worker *worker)
{
    return worker->listening != NULL && listening_has_begun(worker->listening);
}

/* ---- another configuration, another day ---- */

static void worker_review(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    static const struct timeval soon = {0, 0}; /* a turn of the loop lies between */
    struct worker *worker = arg;
    if (session_review_some(worker))
        evtimer_add(worker->review, &soon);
}

/* Also from the beginning, when it was at it: those who were judged already were so by what is old now. */
static void worker_begin_review(struct worker *worker)
{
    worker->review_next = worker->sessions;
    event_active(worker->review, EV_TIMEOUT, 0);
}

void worker_take_edition(struct worker *worker, struct edition *edition)
{
    struct config *old = worker->config;
    if (worker->listening != NULL)
        listening_take(worker->listening, edition); /* as long as the old snapshot is there */
    worker->config = config_ref(edition->config);
    config_unref(old);
    edition_unref(edition);
    worker_begin_review(worker);
}

/* Others may have been taken since: the policy is the one that it was about. */
static void worker_record_reload(struct worker *worker, char *words)
{
    char *detail = words;
    const char *policy = strsep(&detail, " ");
    worker_record(worker, EVENT_RELOAD, policy, detail);
    free(words);
}

/* ---- orders ---- */

static void worker_take_order(void *arg, int order, intptr_t value)
{
    struct worker *worker = arg;
    switch ((enum worker_order)order) {
    case ORDER_JOURNAL:
        journal_queue_attach(worker->journal, (int)value);
        break;
    case ORDER_EDITION:
        worker_take_edition(worker, (struct edition *)value);
        worker_report(worker, WORKER_TOOK);
        break;
    case ORDER_REVIEW:
        worker_begin_review(worker);
        break;
    case ORDER_RECORD:
        worker_record_reload(worker, (char *)value);
        break;
    case ORDER_BEGIN:
        worker_begin(worker);
        break;
    case ORDER_LISTEN:
        worker_listen(worker);
        break;
    case ORDER_DRAIN:
        worker_drain(worker);
        break;
    case ORDER_RETIRE:
        worker_retire(worker);
        break;
    case ORDER_STOP:
        worker_stop(worker);
        break;
    case ORDER_SURVEY:
        worker->survey = survey_take(worker, (int)value);
        worker_report(worker, WORKER_SURVEYED);
        break;
    case ORDER_END:
        worker_end(worker);
        break;
    }
}

void *worker_run(void *arg)
{
    struct worker *worker = arg;
    log_set_sink(journal_queue_log, worker->journal);
    event_base_loop(worker->loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
    log_set_sink(NULL, NULL);
    worker_report(worker, WORKER_ENDED);
    return NULL;
}

void worker_free(struct worker *worker)
{
    if (worker == NULL)
        return;
    listening_free(worker->listening);
    if (worker->look != NULL)
        event_free(worker->look);
    if (worker->review != NULL)
        event_free(worker->review);
    if (worker->settle != NULL)
        event_free(worker->settle);
    if (worker->resolver != NULL)
        resolver_free(worker->resolver);
    own_address_free(worker->own_address);
    ja4_cache_free(worker->fingerprints);
    if (worker->journal != NULL)
        journal_queue_free(worker->journal);
    mailbox_free(worker->mailbox);
    tally_free(worker->tally);
    survey_free(worker->survey);
    if (worker->loop != NULL) {
        wait_line_free(worker->loop->looks);
        pipe_pool_free(worker->loop->pipes);
    }
    loop_free(worker->loop);
    setup_pool_empty(&worker->setups);
    slab_free(worker->session_slab);
    config_unref(worker->config);
    free(worker);
}
