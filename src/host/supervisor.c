/* The supervisor's loop: what signals and servers tell it, and what is due in each turn. */
#include "host/supervisor.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "host/process.h"
#include "host/supervisor_state.h"

const struct config *supervisor_config(const struct supervisor *sup)
{
    return sup->serving.candidate->config;
}

/* ---- what it is told ---- */

static void supervisor_take_signals(struct supervisor *sup)
{
    struct signalfd_siginfo info;
    while (read(sup->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        switch (info.ssi_signo) {
        case SIGCHLD:
            supervisor_reap(sup);
            break;
        case SIGINT:
            supervisor_ask_departure(sup, DEPARTURE_STOP);
            break;
        case SIGTERM:
            supervisor_ask_departure(sup, DEPARTURE_DRAIN);
            break;
        case SIGUSR1:
            sup->reopen = true;
            break;
        case SIGHUP:
            if (supervisor_reloads(sup))
                reload_ask(sup->reload);
            break;
        case SIGUSR2:
            upgrade_ask(&sup->upgrade, NULL, 0);
            break;
        default:
            break;
        }
    }
}

/* Before the first readiness nobody waits for the ports, and on the way out there are none. */
void supervisor_reloaded(void *arg)
{
    const struct supervisor *sup = arg;
    if (!sup->ready || !supervisor_serves(sup))
        return;
    herald_listening(&sup->herald);
}

static void supervisor_take_ready(struct supervisor *sup, struct generation *generation)
{
    if (!sup->ready) {
        herald_listening(&sup->herald);
        herald_ready(&sup->herald);
    }
    sup->ready = true;
    generation->ready = true;
    log_info("ready, %u workers", sup->settings->workers);
    if (generation->state == GENERATION_RISING)
        upgrade_rise(&sup->upgrade);
    reload_server_ready(sup->reload);
}

/* The one that serves goes on from what the one before it has counted to its end. */
static void supervisor_take_state(struct supervisor *sup, const struct generation *from, struct channel_message *message)
{
    const struct generation *serving = generations_serving(&sup->generations);
    if (from != serving && serving->child.channel >= 0)
        channel_send(serving->child.channel, message);
    state_keeper_take(&sup->state, supervisor_config(sup)->admin.state, message->fd);
    message->fd = -1; /* it is the keeper's */
}

/* Only the one that serves has questions, and hears the answers of the others. */
static void supervisor_collect(const struct supervisor *sup, const struct generation *from, const struct channel_message *message)
{
    const struct generations *generations = &sup->generations;
    for (size_t i = 0; i < generations->count; i++) {
        const struct generation *to = generations->all[i];
        if (to->child.channel < 0 || to->state == GENERATION_RISING || to == from)
            continue;
        if ((message->kind == CHANNEL_COLLECT) == (to->state == GENERATION_RETIRED))
            channel_send(to->child.channel, message);
    }
}

/* A retired one has nothing left to do. */
static void supervisor_take_drained(struct supervisor *sup, struct generation *generation, const struct channel_message *message)
{
    generation->drained = true;
    generation->cut = message->b;
    if (sup->departure.stage == DEPARTURE_NONE)
        channel_tell(generation->child.channel, CHANNEL_STOP, 1, 0, -1);
    else
        supervisor_look_drained(sup);
}

static void supervisor_say_open(const struct supervisor *sup, const struct generation *generation, const struct channel_message *message)
{
    if (sup->departure.stage == DEPARTURE_NONE)
        log_info("generation %u has retired: open connections: %u", generation->number, message->a);
    else
        log_info("draining: open connections: %u, tunnels cut: %u", message->a, message->b);
}

/* The descriptor of it is closed by the caller where it is left. */
static void supervisor_follow(struct supervisor *sup, struct generation *generation, struct channel_message *message)
{
    switch (message->kind) {
    case CHANNEL_STATE:
        if (message->fd >= 0)
            supervisor_take_state(sup, generation, message);
        break;
    case CHANNEL_READY:
        if (supervisor_serves(sup))
            supervisor_take_ready(sup, generation);
        break;
    case CHANNEL_OPEN:
        supervisor_say_open(sup, generation, message);
        break;
    case CHANNEL_DRAINED:
        supervisor_take_drained(sup, generation, message);
        break;
    case CHANNEL_UNLINKED:
        if (message->b < sup->settings->workers)
            generation->linked[message->b] = false;
        break;
    case CHANNEL_ALIVE:
        if (generation->state == GENERATION_SERVING)
            herald_alive(&sup->herald, message->a == 0);
        break;
    case CHANNEL_UPGRADE:
        upgrade_ask(&sup->upgrade, generation, message->a);
        break;
    case CHANNEL_COLLECT:
    case CHANNEL_COLLECTED:
        supervisor_collect(sup, generation, message);
        break;
    default:
        if (supervisor_reloads(sup)) /* what is under way at a stop is not taken: its addresses would be bound for nobody */
            reload_take_message(sup->reload, generation, message);
    }
}

/* False: there was none. */
static bool supervisor_take_message(struct supervisor *sup, struct generation *generation)
{
    struct channel_message message;
    int got = channel_receive(generation->child.channel, &message, false);
    if (got > 0)
        supervisor_follow(sup, generation, &message);
    if (got > 0 && message.fd >= 0)
        close(message.fd);
    if (got == 0) /* its death is told by SIGCHLD; until then there is nothing to hear */
        supervisor_lose_server(sup, generation);
    return got > 0;
}

/* ---- its turn ---- */

static int supervisor_wait_ms(const struct supervisor *sup)
{
    const uint64_t due[] = {
        supervisor_children_at_ms(sup),
        sup->departure.stage != DEPARTURE_NONE ? sup->departure.until_ms : UINT64_MAX,
        supervisor_reloads(sup) ? reload_at_ms(sup->reload) : UINT64_MAX,
        upgrade_at_ms(&sup->upgrade),
        sup->stop_last_ms > 0 ? sup->stop_last_ms : UINT64_MAX,
    };
    uint64_t now = clock_monotonic_ms(), until = UINT64_MAX;
    for (size_t i = 0; i < sizeof(due) / sizeof(due[0]); i++)
        until = due[i] < until ? due[i] : until;
    return until == UINT64_MAX ? -1 : until <= now ? 0 : (int)(until - now);
}

/* When the servers have stopped, the end of their sockets and of this channel lets the journal go. */
static bool supervisor_is_over(struct supervisor *sup)
{
    if (supervisor_serves(sup) || generations_any_runs(&sup->generations))
        return false;
    child_hang_up(&sup->journal);
    return sup->journal.pid == 0;
}

/* What is waited for; the servers come last. */
enum { WATCHED_SIGNALS = 0, WATCHED_RELOAD, WATCHED_SERVERS = WATCHED_RELOAD + RELOAD_FDS, WATCHED_MAX = WATCHED_SERVERS + GENERATIONS_MAX };

static nfds_t supervisor_watch(const struct supervisor *sup, struct pollfd watched[WATCHED_MAX])
{
    int fds[RELOAD_FDS] = {-1, -1};
    if (supervisor_reloads(sup))
        reload_fds(sup->reload, fds);
    watched[WATCHED_SIGNALS] = (struct pollfd){.fd = sup->signals, .events = POLLIN};
    for (int i = 0; i < RELOAD_FDS; i++)
        watched[WATCHED_RELOAD + i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    for (size_t i = 0; i < sup->generations.count; i++)
        watched[WATCHED_SERVERS + i] = (struct pollfd){.fd = sup->generations.all[i]->child.channel, .events = POLLIN};
    return WATCHED_SERVERS + sup->generations.count;
}

/* All of each: the last ones come right before its death. What one says may change who there is: who is left out for it is heard next time. */
static void supervisor_hear(struct supervisor *sup, const struct pollfd *servers, size_t count)
{
    for (size_t i = 0; i < count && i < sup->generations.count; i++)
        while (i < sup->generations.count && servers[i].revents != 0 && supervisor_take_message(sup, sup->generations.all[i]))
            continue;
}

static void supervisor_reload(struct supervisor *sup, const struct pollfd watched[RELOAD_FDS])
{
    bool readable[RELOAD_FDS];
    for (int i = 0; i < RELOAD_FDS; i++)
        readable[i] = watched[i].revents != 0;
    if (supervisor_reloads(sup))
        reload_go_on(sup->reload, readable);
    if (sup->departure.stage == DEPARTURE_NONE)
        herald_reloads(&sup->herald, reload_count(sup->reload), reload_is_over(sup->reload));
}

static void supervisor_loop(struct supervisor *sup)
{
    while (!supervisor_is_over(sup)) {
        supervisor_start_due(sup);
        supervisor_upgrade(sup);
        struct pollfd watched[WATCHED_MAX];
        const nfds_t count = supervisor_watch(sup, watched);
        if (poll(watched, count, supervisor_wait_ms(sup)) > 0) {
            supervisor_hear(sup, watched + WATCHED_SERVERS, count - WATCHED_SERVERS);
            if (watched[WATCHED_SIGNALS].revents != 0)
                supervisor_take_signals(sup);
        }
        supervisor_reload(sup, watched + WATCHED_RELOAD);
        supervisor_go_on_departing(sup);
    }
}

int supervisor_run(const struct supervisor_settings *settings)
{
    struct supervisor sup = {
        .settings = settings,
        .signals = -1,
        .doors = {.fds = {-1, -1}},
        .state = {.fd = -1},
        .serving = {.path = settings->config_path, .listen = settings->listen, .candidate = settings->candidate, .origin = -1, .edition = 1},
        .journal = {.role = PROCESS_ROLE_JOURNAL, .channel = -1},
    };
    sup.herald = (struct herald){.serving = &sup.serving, .doors = &sup.doors, .ports_file = settings->ports_file};
    sup.serving.bounds.workers = settings->workers;
    if (!supervisor_begin(&sup)) {
        sup.exit_code = 1;
    } else {
        supervisor_log_here(&sup, false);
        fault_log(settings->warnings, false, true);
        log_info("supervisor: %s", sup.holds);
        supervisor_begin_upgrades(&sup);
        supervisor_reap(&sup); /* whoever ended while one program followed the other */
        supervisor_loop(&sup);
        supervisor_log_here(&sup, true);
    }
    supervisor_free(&sup);
    return sup.exit_code;
}
