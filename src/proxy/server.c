/* The server process: takes listeners and configuration from the supervisor, runs the workers, and keeps them in touch with the journal. */
#include "proxy/server.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audit/probe_table.h"
#include "base/log.h"
#include "config/bundle.h"
#include "config/config.h"
#include "host/channel.h"
#include "host/process.h"
#include "host/sandbox.h"
#include "proxy/census.h"
#include "proxy/client_shares.h"
#include "proxy/denials.h"
#include "proxy/descriptors.h"
#include "proxy/mailbox.h"
#include "proxy/worker.h"

struct server {
    int channel;
    struct event_base *base;
    struct event *heard;
    struct mailbox *news;
    struct config *config;
    struct shared shared;
    struct worker *workers[WORKERS_MAX];
    pthread_t threads[WORKERS_MAX];
    unsigned worker_count, running, dry;
    bool stopping;
    uint32_t generation;
    struct server_reloads reloads;
    int doors[DOOR_COUNT]; /* until they are the guest's; -1: none */
    int state_fd;          /* what the last server left; -1: nothing */
    struct census *census;
    const struct server_guest *room; /* whose guest is here, once set-up is over */
    void *guest;
};

/* ---- setting up, from the messages up to CHANNEL_GO ---- */

static struct config *server_read_config(const struct channel_message *message)
{
    struct fault_list *faults = fault_list_new();
    bool rewound = lseek(message->fd, 0, SEEK_SET) == 0; /* an earlier generation has read it to its end */
    struct bundle *bundle = rewound ? bundle_read(message->fd) : NULL;
    struct config *config = bundle && faults ? config_load(bundle, message->text, faults) : NULL;
    if (config == NULL && faults != NULL)
        fault_print(faults, stderr, true, false);
    bundle_free(bundle);
    fault_list_free(faults);
    process_give_back();
    return config;
}

static void server_share_descriptors(struct server *server)
{
    struct rlimit limit;
    const struct config *config = server->config;
    const size_t descriptors = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024, wanted = config->limits.tunnels;
    const struct descriptor_plan plan = descriptor_plan_make(&(struct descriptor_needs){
        .limit = descriptors, .workers = server->worker_count, .listeners = config->listener_count, .tunnels_wanted = wanted});
    if (plan.tunnels_max < wanted)
        log_warn("tunnels = %zu: the limit of open files, %zu, leaves room for %zu", wanted, descriptors, plan.tunnels_max);
    server->shared.sessions_max = plan.tunnels_max;
    server->shared.lingers.max = plan.lingers_max;
    server->shared.tries.max = plan.tries_max;
    server->shared.pipes.pipes.max = plan.pipes_max;
    server->shared.pipes.bytes.max = PIPE_POOL_MAX;
}

static bool server_set_worker_count(struct server *server, unsigned count)
{
    if (count == 0 || count > WORKERS_MAX)
        return false;
    server->worker_count = count;
    return true;
}

static bool server_make_workers(struct server *server)
{
    server_share_descriptors(server);
    for (unsigned i = 0; i < server->worker_count; i++)
        if ((server->workers[i] = worker_new(i, server->config, &server->shared)) == NULL)
            return false;
    return true;
}

static bool server_replace_listeners(struct server *server, const char *text)
{
    struct endpoint address;
    return server->config != NULL && endpoint_read(&address, text, strlen(text)) && config_set_listen(server->config, &address);
}

/* An address that one of us listens on is never dialled; a port that was picked at bind is known only now. */
static bool server_add_listener(struct server *server, const struct channel_message *message)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);
    struct endpoint bound;
    return server->config != NULL && message->a < server->config->listener_count && message->b < server->worker_count &&
           getsockname(message->fd, (struct sockaddr *)&name, &len) == 0 && endpoint_from_sockaddr(&bound, (struct sockaddr *)&name, len) &&
           (message->b != 0 || config_never_listener(server->config, &bound)) &&
           worker_add_listener(server->workers[message->b], &server->config->listeners[message->a], message->fd);
}

/* Where metrics are asked for is as much ourselves as a listener is. */
static bool server_add_door(struct server *server, const struct channel_message *message)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);
    struct endpoint bound;
    if (message->a >= DOOR_COUNT || server->config == NULL)
        return false;
    server->doors[message->a] = message->fd;
    if (message->a != DOOR_METRICS)
        return true;
    return getsockname(message->fd, (struct sockaddr *)&name, &len) == 0 && endpoint_from_sockaddr(&bound, (struct sockaddr *)&name, len) &&
           config_never_listener(server->config, &bound);
}

static bool server_take_setup(struct server *server, const struct channel_message *message)
{
    switch (message->kind) {
    case CHANNEL_CONFIG:
        server->config = server_read_config(message);
        close(message->fd);
        return server->config != NULL && server_set_worker_count(server, message->a);
    case CHANNEL_LISTEN:
        return server_replace_listeners(server, message->text);
    case CHANNEL_LISTENER:
        if (server->workers[0] == NULL && !server_make_workers(server))
            return false;
        return server_add_listener(server, message);
    case CHANNEL_ADMIN:
        return server_add_door(server, message);
    case CHANNEL_STATE:
        server->state_fd = message->fd;
        return true;
    default:
        return false;
    }
}

static bool server_set_up(struct server *server)
{
    struct channel_message message;
    for (;;) {
        if (channel_receive(server->channel, &message, true) <= 0)
            return false;
        if (message.kind == CHANNEL_GO) {
            server->generation = message.a;
            return server->workers[0] != NULL;
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
        worker_order(server->workers[i], order, -1);
}

static void server_stop(struct server *server)
{
    if (server->stopping)
        return;
    server->stopping = true;
    server_order_all(server, ORDER_STOP);
}

static void server_heard(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct server *server = arg;
    struct channel_message message;
    int got = channel_receive(fd, &message, false);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) { /* without its supervisor nobody would restart or stop it: no orphan holds a port */
        event_del(server->heard);
        server_stop(server);
    } else if (message.kind == CHANNEL_JOURNAL && message.fd < 0) {
        channel_tell(server->channel, CHANNEL_UNLINKED, 0, message.b, -1);
    } else if (message.kind == CHANNEL_JOURNAL && message.b < server->worker_count) {
        worker_order(server->workers[message.b], ORDER_JOURNAL, message.fd);
    } else if (message.kind == CHANNEL_STOP) {
        server_stop(server);
    } else if (message.fd >= 0) {
        close(message.fd);
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
        worker_order(server->workers[0], ORDER_END, -1);
    if (server->running == 0)
        event_base_loopbreak(server->base);
}

static void server_workers_dry(struct server *server)
{
    for (unsigned i = 1; i < server->worker_count; i++)
        worker_order(server->workers[i], ORDER_END, -1);
    if (server->worker_count == 1)
        worker_order(server->workers[0], ORDER_END, -1);
}

static void server_take_news(void *arg, int news, int worker)
{
    struct server *server = arg;
    switch ((enum worker_news)news) {
    case WORKER_STARTED:
        server_order_all(server, ORDER_LISTEN);
        channel_tell(server->channel, CHANNEL_READY, 0, 0, -1);
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
    worker_order(server->workers[0], ORDER_BEGIN, -1);
}

/* ---- the guest ---- */

static bool server_begin_guest(struct server *server)
{
    server->census = census_new(server->base, server->workers, server->worker_count);
    if (server->census == NULL)
        return false;
    server->guest = server->room->begin(server, server->doors);
    for (int door = 0; door < DOOR_COUNT; door++)
        server->doors[door] = -1;
    return server->guest != NULL;
}

static void server_end_guest(struct server *server)
{
    if (server->guest != NULL)
        server->room->end(server->guest);
    census_free(server->census);
    for (int door = 0; door < DOOR_COUNT; door++)
        if (server->doors[door] >= 0)
            close(server->doors[door]);
    if (server->state_fd >= 0)
        close(server->state_fd);
}

struct event_base *server_base(struct server *server)
{
    return server->base;
}

struct census *server_census(struct server *server)
{
    return server->census;
}

const struct config *server_config(const struct server *server)
{
    return server->config;
}

uint32_t server_generation(const struct server *server)
{
    return server->generation;
}

bool server_is_stopping(const struct server *server)
{
    return server->stopping;
}

int server_state(const struct server *server)
{
    return server->state_fd;
}

void server_leave_state(const struct server *server, int fd)
{
    channel_tell(server->channel, CHANNEL_STATE, 0, 0, fd);
}

bool server_sum(const struct server *server, struct tally *sum)
{
    bool whole = true;
    for (unsigned i = 0; i < server->worker_count; i++)
        whole = whole && tally_add(sum, server->workers[i]->tally);
    return whole;
}

struct server_reloads server_reloads(const struct server *server)
{
    return server->reloads;
}

/* ---- the process ---- */

static bool server_init(struct server *server, int channel)
{
    server->channel = channel;
    server->shared.report = server_report;
    server->shared.report_arg = server;
    server->shared.denials = denials_new();
    server->shared.client_shares = client_shares_new();
    server->shared.probes = probe_table_new();
    server->base = event_base_new();
    if (server->base == NULL || server->shared.denials == NULL || server->shared.client_shares == NULL || server->shared.probes == NULL)
        return false;
    server->news = mailbox_new(server->base, server_take_news, server);
    server->heard = event_new(server->base, channel, EV_READ | EV_PERSIST, server_heard, server);
    return server->news != NULL && server->heard != NULL && event_add(server->heard, NULL) == 0;
}

static void server_fini(struct server *server)
{
    server_end_guest(server);
    for (unsigned i = 0; i < server->worker_count; i++)
        worker_free(server->workers[i]);
    if (server->heard != NULL)
        event_free(server->heard);
    mailbox_free(server->news);
    if (server->base != NULL)
        event_base_free(server->base);
    denials_free(server->shared.denials);
    client_shares_free(server->shared.client_shares);
    probe_table_free(server->shared.probes);
    config_unref(server->config);
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
    const struct sandbox_settings sandbox = {.mode = server->config->sandbox};
    return sandbox_enter(SANDBOX_SERVER, &sandbox, server->shared.holds);
}

int server_run(int channel, const struct server_guest *guest)
{
    struct server server = {.channel = channel, .doors = {-1, -1}, .state_fd = -1, .room = guest};
    int code = 1;
    if (server_init(&server, channel) && server_set_up(&server) && server_give_up(&server) && server_begin_guest(&server)) {
        server_start_workers(&server);
        event_base_dispatch(server.base);
        code = server_has_lost(&server) ? 1 : 0;
    }
    server_fini(&server);
    return code;
}
