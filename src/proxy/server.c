/* The server process: takes listeners and configuration from the supervisor, runs the workers, and keeps them in touch with the journal. */
#include "proxy/server_state.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "audit/journal_generations.h"
#include "audit/probe_table.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/log_writer.h"
#include "config/config.h"
#include "host/channel.h"
#include "host/sandbox.h"
#include "proxy/census.h"
#include "proxy/client_shares.h"
#include "proxy/denials.h"
#include "proxy/descriptors.h"
#include "proxy/mailbox.h"
#include "proxy/quotas.h"
#include "proxy/refusals.h"

/* For whoever reads the last lines of the log. */
#define LOG_PATIENCE_MS 1000

#define MINUTE_US (UINT64_C(60) * 1000000)
#define DRAIN_SAID_EVERY_S 60
#define PAUSES_PART 4 /* of all sessions as many as one client's share of those that are no tunnels yet */
#define DAY_US (24 * 60 * MINUTE_US)

/* ---- how much of everything ---- */

static size_t server_descriptors(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
}

static struct descriptor_plan server_plan_descriptors(const struct server *server)
{
    return descriptor_plan_make(&(struct descriptor_needs){.limit = server_descriptors(),
                                                           .workers = server->worker_count,
                                                           .listeners = server->editions.now->address_count,
                                                           .tunnels_wanted = server_config(server)->limits.tunnels});
}

/* Not while it is set up: a line may wait for its reader until it is written aside. */
static void server_say_room(const struct server *server)
{
    const size_t wanted = server_config(server)->limits.tunnels, most = server->shared.sessions_max;
    if (most < wanted)
        log_warn("tunnels = %zu: the limit of open files, %zu, leaves room for %zu", wanted, server_descriptors(), most);
}

/* A quarter, as one client has it before its tunnels are open; few where there are many. */
static size_t server_strangers_max(size_t sessions_max)
{
    const size_t quarter = sessions_max >= 4 ? sessions_max / 4 : 1;
    return quarter < SHARES_UNKNOWN_MAX ? quarter : SHARES_UNKNOWN_MAX;
}

static void server_share_sessions(struct server *server, size_t most)
{
    const size_t strangers = server_strangers_max(most);
    server->shared.sessions_max = most;
    server->shared.strangers_max = strangers;
    server->shared.pauses.max = most / PAUSES_PART;
    server->shared.stranger_pauses.max = strangers / 2;
}

static void server_share_descriptors(struct server *server)
{
    const struct descriptor_plan plan = server_plan_descriptors(server);
    server_share_sessions(server, plan.tunnels_max);
    server->shared.lingers.max = plan.lingers_max;
    server->shared.tries.max = plan.tries_max;
    server->shared.pipes.pipes.max = plan.pipes_max;
    server->shared.pipes.bytes.max = PIPE_POOL_MAX;
}

static void server_lower(struct budget *budget, size_t max)
{
    if (max < budget->max)
        budget->max = max;
}

/* By another configuration. What comes and goes makes room for more tunnels, but gets none of fewer: those that are open stay. */
static void server_share_anew(struct server *server)
{
    const struct descriptor_plan plan = server_plan_descriptors(server);
    server_share_sessions(server, plan.tunnels_max);
    server_lower(&server->shared.lingers, plan.lingers_max);
    server_lower(&server->shared.tries, plan.tries_max);
    server_lower(&server->shared.pipes.pipes, plan.pipes_max);
}

/* Before the workers go by it, so that they find the quotas of whichever snapshot they judge by. */
static void server_take_quotas(struct server *server)
{
    if (!quotas_take(server->shared.quotas, server_config(server)->policy, clock_monotonic_ms()))
        log_error("no memory, or no room, for the quota of another group: its clients are refused");
}

/* ---- setting up, from the messages up to CHANNEL_GO ---- */

static bool server_make_workers(struct server *server)
{
    server->worker_count = server->editions.workers;
    server_share_descriptors(server);
    server_take_quotas(server);
    for (unsigned i = 0; i < server->worker_count; i++) {
        server->workers[i] = worker_new(i, server->editions.now->config, &server->shared);
        if (server->workers[i] == NULL)
            return false;
        worker_take_edition(server->workers[i], edition_ref(server->editions.now));
    }
    return true;
}

/* Where metrics are asked for is as much ourselves as a listener is. */
static bool server_add_door(struct server *server, const struct channel_message *message)
{
    if (message->a >= DOOR_COUNT)
        return false;
    server->doors[message->a] = message->fd;
    return message->a != DOOR_METRICS || editions_never(&server->editions, message->fd);
}

static bool server_take_setup(struct server *server, const struct channel_message *message)
{
    switch (message->kind) {
    case CHANNEL_ADMIN:
        return server_add_door(server, message);
    case CHANNEL_PULSE:
        server->pulse_ms = message->a;
        return true;
    case CHANNEL_STATE:
        server->state_fd = message->fd;
        return true;
    case CHANNEL_OTHERS:
        server->others = message->a;
        return true;
    default:
        return editions_take(&server->editions, message);
    }
}

static bool server_set_up(struct server *server)
{
    struct channel_message message;
    for (;;) {
        if (channel_receive(server->channel, &message, true) <= 0)
            return false;
        if (message.kind == CHANNEL_GO) {
            server->generation = message.b;
            server->shared.mark = journal_generation_mark(message.b);
            return editions_go(&server->editions, message.a) && edition_is_whole(server->editions.now) && server_make_workers(server);
        }
        if (!server_take_setup(server, &message)) {
            log_error("the server cannot be set up (message %u)", message.kind);
            return false;
        }
    }
}

/* ---- serving ---- */

static void server_order_all(struct server *server, enum worker_order order)
{
    for (unsigned i = 0; i < server->worker_count; i++)
        worker_order(server->workers[i], order, 0);
}

static void server_leave(struct server *server)
{
    if (server->stage == SERVER_SERVING)
        server->stage = SERVER_LEAVING;
}

static void server_say_open(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct server *server = arg;
    channel_tell(server->channel, CHANNEL_OPEN, (uint32_t)atomic_load(&server->shared.sessions), (uint32_t)atomic_load(&server->shared.cut), -1);
}

static void server_say_open_from_now(struct server *server)
{
    static const struct timeval every = {DRAIN_SAID_EVERY_S, 0};
    server_say_open(-1, 0, server);
    evtimer_add(server->minute, &every);
}

static void server_drain(struct server *server)
{
    if (server->stage >= SERVER_DRAINING)
        return;
    server->stage = SERVER_DRAINING;
    server_order_all(server, ORDER_DRAIN);
    server_say_open_from_now(server);
}

/* It may still be drained, or stopped. */
static void server_retire(struct server *server, const struct channel_message *message)
{
    if (server->stage >= SERVER_DRAINING || server->retired)
        return;
    server->retired = true;
    server->others = 0;
    editions_retire(&server->editions);
    server_order_all(server, ORDER_RETIRE);
    server_tell_guest(server, message);
    server_say_open_from_now(server);
}

/* Whoever asked for an upgrade hears of it from the server that he asked, however little that has left to do. */
static bool server_owes_answers(const struct server *server)
{
    bool owes = false;
    for (int kind = 0; kind < PETITION_KINDS; kind++)
        owes = owes || petitions_wait(&server->petitions[kind]);
    return server->retired && owes;
}

/* It is the supervisor's to stop what has nothing to do any more. */
static void server_say_drained(struct server *server)
{
    if (server->drained < server->worker_count || server->drained_told || server_owes_answers(server))
        return;
    server->drained_told = true;
    channel_tell(server->channel, CHANNEL_DRAINED, 0, (uint32_t)atomic_load(&server->shared.cut), -1);
}

static void server_stop(struct server *server, unsigned others)
{
    if (server->stage == SERVER_STOPPING)
        return;
    server->stage = SERVER_STOPPING;
    atomic_store(&server->shared.others, others);
    event_del(server->minute);
    server_order_all(server, ORDER_STOP);
}

/* ---- another configuration ---- */

/* A worker that did not hear of it would go on letting out what is forbidden: before anything else is done, each is told. */
static void server_give(struct server *server, unsigned worker)
{
    struct edition *edition = edition_ref(server->editions.now);
    while (!worker_order(server->workers[worker], ORDER_EDITION, (intptr_t)edition))
        clock_pause_ms(1);
}

static void server_go(struct server *server, const struct channel_message *message)
{
    if (server->stage >= SERVER_DRAINING || !editions_go(&server->editions, message->a))
        return;
    server_share_anew(server);
    server_say_room(server);
    server_take_quotas(server);
    server->taking = server->worker_count;
    for (unsigned i = 0; i < server->worker_count; i++)
        server_give(server, i);
    if (server->guest != NULL)
        server->room->changed(server->guest);
}

static void server_worker_took(struct server *server)
{
    if (--server->taking == 0)
        channel_tell(server->channel, CHANNEL_TAKEN, server->editions.now->number, 0, -1);
}

/* The first worker wrote `start`, so it writes this, too. */
static void server_record(struct server *server, const char *words)
{
    char *detail = strdup(words);
    if (detail == NULL || server->stage == SERVER_STOPPING || !worker_order(server->workers[0], ORDER_RECORD, (intptr_t)detail))
        free(detail);
}

/* ---- what the supervisor says ---- */

static void server_take_journal(struct server *server, const struct channel_message *message)
{
    if (message->fd < 0)
        channel_tell(server->channel, CHANNEL_UNLINKED, 0, message->b, -1);
    else if (message->b >= server->worker_count || !worker_order(server->workers[message->b], ORDER_JOURNAL, message->fd))
        close(message->fd);
}

static void server_take_message(struct server *server, const struct channel_message *message)
{
    switch (message->kind) {
    case CHANNEL_JOURNAL:
        server_take_journal(server, message);
        break;
    case CHANNEL_LEAVE:
        server_leave(server);
        break;
    case CHANNEL_DRAIN:
        server_drain(server);
        break;
    case CHANNEL_STOP:
        server_stop(server, message->a);
        break;
    case CHANNEL_GO:
        server_go(server, message);
        break;
    case CHANNEL_RECORD:
        server_record(server, message->text);
        break;
    case CHANNEL_RELOADS:
        server->reloaded = (struct server_reloads){.taken = message->a, .refused = message->b};
        break;
    case CHANNEL_OUTCOME:
    case CHANNEL_UPGRADED:
        petitions_answer(&server->petitions[message->kind == CHANNEL_UPGRADED ? PETITION_UPGRADE : PETITION_RELOAD], message);
        break;
    case CHANNEL_RETIRE:
        server_retire(server, message);
        break;
    case CHANNEL_OTHERS:
        server->others = server->retired ? 0 : message->a;
        server_tell_guest(server, message);
        break;
    case CHANNEL_COLLECT:
    case CHANNEL_COLLECTED:
    case CHANNEL_STATE:
        server_tell_guest(server, message);
        break;
    default:
        if (!editions_take(&server->editions, message))
            log_error("the supervisor's message %u cannot be followed", message->kind);
    }
    server_say_drained(server); /* it may have been an answer that was owed */
}

static void server_heard(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct server *server = arg;
    struct channel_message message;
    int got = channel_receive(fd, &message, false);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got > 0) {
        server_take_message(server, &message);
    } else { /* without its supervisor nobody would restart or stop it: no orphan holds a port */
        event_del(server->heard);
        server_stop(server, server->retired || server->others > 0);
    }
}

/* Runs on a worker's thread. */
static void server_report(void *arg, unsigned worker, int news)
{
    struct server *server = arg;
    mailbox_put(server->news, news, (int)worker);
}

/* The first worker wrote `start`, so it writes `stop`, after all others have gone. */
static void server_worker_ended(struct server *server, unsigned worker)
{
    pthread_join(server->threads[worker], NULL);
    server->running--;
    if (server->running == 1)
        worker_order(server->workers[0], ORDER_END, 0);
    if (server->running == 0)
        event_base_loopbreak(server->base);
}

static void server_workers_dry(struct server *server)
{
    for (unsigned i = 1; i < server->worker_count; i++)
        worker_order(server->workers[i], ORDER_END, 0);
    if (server->worker_count == 1)
        worker_order(server->workers[0], ORDER_END, 0);
}

static void server_take_news(void *arg, int news, intptr_t worker)
{
    struct server *server = arg;
    switch ((enum worker_news)news) {
    case WORKER_STARTED:
        server_order_all(server, ORDER_LISTEN);
        break;
    case WORKER_LISTENS: /* each, or who follows another would not be ready for a moment */
        if (++server->listening == server->worker_count)
            channel_tell(server->channel, CHANNEL_READY, 0, 0, -1);
        break;
    case WORKER_TOOK:
        server_worker_took(server);
        break;
    case WORKER_DRAINED:
        server->drained++;
        server_say_drained(server);
        break;
    case WORKER_DRY:
        if (++server->dry == server->worker_count)
            server_workers_dry(server);
        break;
    case WORKER_ENDED:
        server_worker_ended(server, (unsigned)worker);
        break;
    case WORKER_SURVEYED:
        census_answered(server->census, (unsigned)worker);
        break;
    }
}

static void server_start_workers(struct server *server)
{
    for (unsigned i = 0; i < server->worker_count; i++) {
        int error = pthread_create(&server->threads[i], NULL, worker_run, server->workers[i]);
        if (error != 0) {
            log_error("cannot start worker %u: %s", i, strerror(error));
            _exit(1); /* the threads that run cannot be left in half a server; the supervisor tries again */
        }
        server->running++;
    }
    worker_order(server->workers[0], ORDER_BEGIN, 0);
}

/* ---- another day ---- */

/* Rules expire at midnight, UTC. Between, the clock may be set: a look a minute finds that. */
static void server_await_dawn(struct server *server)
{
    const uint64_t now_us = clock_wall_us(), to_midnight_us = DAY_US - now_us % DAY_US;
    const uint64_t wait_us = to_midnight_us < MINUTE_US ? to_midnight_us + 1000 : MINUTE_US;
    const struct timeval wait = {(time_t)(wait_us / 1000000), (suseconds_t)(wait_us % 1000000)};
    server->today = clock_day(now_us);
    evtimer_add(server->dawn, &wait);
}

static void server_dawn(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct server *server = arg;
    const uint32_t before = server->today;
    server_await_dawn(server);
    if (server->today != before && server->stage != SERVER_STOPPING)
        server_order_all(server, ORDER_REVIEW);
}

/* ---- the process ---- */

static bool server_init(struct server *server, int channel)
{
    server->channel = channel;
    for (int kind = 0; kind < PETITION_KINDS; kind++)
        server->petitions[kind] = (struct petitions){.channel = channel, .kind = (enum petition_kind)kind};
    server->shared.report = server_report;
    server->shared.report_arg = server;
    server->shared.denials = denials_new();
    server->shared.client_shares = client_shares_new();
    server->shared.quotas = quotas_new();
    server->shared.refusals = refusals_new();
    server->shared.probes = probe_table_new();
    server->base = event_base_new();
    if (server->base == NULL || !editions_init(&server->editions, server->base, channel) || server->shared.denials == NULL ||
        server->shared.client_shares == NULL || server->shared.quotas == NULL || server->shared.refusals == NULL || server->shared.probes == NULL)
        return false;
    server->news = mailbox_new(server->base, server_take_news, server);
    server->heard = event_new(server->base, channel, EV_READ | EV_PERSIST, server_heard, server);
    server->dawn = evtimer_new(server->base, server_dawn, server);
    server->minute = event_new(server->base, -1, EV_PERSIST, server_say_open, server);
    return server->news != NULL && server->heard != NULL && event_add(server->heard, NULL) == 0 && server->dawn != NULL && server->minute != NULL;
}

static void server_fini(struct server *server)
{
    server_end_guest(server);
    for (unsigned i = 0; i < server->worker_count; i++)
        worker_free(server->workers[i]);
    for (int kind = 0; kind < PETITION_KINDS; kind++)
        petitions_fini(&server->petitions[kind]);
    if (server->base != NULL)
        editions_fini(&server->editions);
    if (server->heard != NULL)
        event_free(server->heard);
    if (server->dawn != NULL)
        event_free(server->dawn);
    if (server->minute != NULL)
        event_free(server->minute);
    mailbox_free(server->news);
    if (server->base != NULL)
        event_base_free(server->base);
    denials_free(server->shared.denials);
    client_shares_free(server->shared.client_shares);
    quotas_free(server->shared.quotas);
    refusals_free(server->shared.refusals);
    probe_table_free(server->shared.probes);
    close(server->channel);
    libevent_global_shutdown();
}

/* Said here and not by the worker, whose lines go by the journal that did not take its records. */
static bool server_has_lost(const struct server *server)
{
    bool lost = false;
    for (unsigned i = 0; i < server->worker_count; i++) {
        if (server->workers[i]->lost)
            log_error("worker %u ended with records that are not on file", i);
        lost = lost || server->workers[i]->lost;
    }
    return lost;
}

static bool server_give_up(struct server *server)
{
    const struct sandbox_settings sandbox = {.mode = server_config(server)->sandbox};
    return sandbox_enter(SANDBOX_SERVER, &sandbox, server->shared.holds);
}

/* Whoever reads standard error may stop, and this thread is what every worker, reload and stop waits for. In the sandbox, as all threads are. */
static bool server_log_aside(struct server *server)
{
    server->log = log_writer_start(STDERR_FILENO);
    if (server->log != NULL)
        log_set_sink(log_writer_put, server->log);
    return server->log != NULL;
}

static void server_log_here(struct server *server)
{
    log_set_sink(NULL, NULL);
    log_writer_stop(server->log, LOG_PATIENCE_MS);
}

int server_run(int channel, const struct server_guest *guest)
{
    struct server server = {.channel = channel, .doors = {-1, -1}, .state_fd = -1, .room = guest};
    int code = 1;
    if (server_init(&server, channel) && server_set_up(&server) && server_give_up(&server) && server_log_aside(&server) &&
        server_begin_guest(&server)) {
        server_say_room(&server);
        server_start_workers(&server);
        server_await_dawn(&server);
        event_base_dispatch(server.base);
        code = server_has_lost(&server) ? 1 : 0;
    }
    server_fini(&server);
    server_log_here(&server);
    return code;
}
