/* The service's own process: binds the listeners, starts journal and server, starts either again when it dies, never reads a peer's byte. */
#include "host/supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_writer.h"
#include "host/activation.h"
#include "host/bounds.h"
#include "host/channel.h"
#include "host/child.h"
#include "host/departure.h"
#include "host/doors.h"
#include "host/generations.h"
#include "host/herald.h"
#include "host/privileges.h"
#include "host/process.h"
#include "host/reload.h"
#include "host/sandbox.h"
#include "host/state_keeper.h"

/* How often the workers are asked whether they live where a service manager wants to know: within the patience of its watchdog, and at least. */
#define PULSES_PER_WATCHDOG 3
#define PULSE_MS 10000

struct supervisor {
    const struct supervisor_settings *settings;
    struct log_writer *log;
    int signals;
    struct serving serving;
    struct reload *reload;
    struct doors doors;
    struct state_keeper state;
    struct herald herald;
    struct child journal;
    struct generations generations;
    uint64_t capabilities;        /* that a server is started with */
    char holds[SANDBOX_TEXT_MAX]; /* what this process has given up */
    bool reopen;                  /* the journal is still to be told to reopen its file */
    bool bereaved;                /* a server has died, which a journal that dies may not have told to the end */
    bool ready;                   /* a server said so at least once */
    struct departure departure;
    int exit_code;
};

static bool supervisor_watch_signals(struct supervisor *sup)
{
    sigset_t set;
    sigemptyset(&set);
    const int watched[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++)
        sigaddset(&set, watched[i]);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sup->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return sup->signals >= 0;
}

static void supervisor_reloaded(void *arg);

/* In a file in memory, for this server and those that may have to follow it. Who may go where is for the server to know, once. */
static bool supervisor_keep_bundle(struct supervisor *sup)
{
    struct serving *serving = &sup->serving;
    if (!candidate_store(serving->candidate) || !generations_init(&sup->generations, sup->settings->workers))
        return false;
    process_give_back();
    sup->reload = reload_new(serving, &sup->generations, supervisor_reloaded, sup);
    return sup->reload != NULL;
}

static const struct config *supervisor_config(const struct supervisor *sup)
{
    return sup->serving.candidate->config;
}

static bool supervisor_bind(struct supervisor *sup, struct activation *passed)
{
    const struct bounds nowhere = {.workers = sup->settings->workers, .passed = passed};
    struct fault_list *faults = fault_list_new();
    if (faults == NULL)
        return false;
    bounds_plan(&sup->serving.bounds, &nowhere, supervisor_config(sup), faults);
    const size_t count = fault_count(faults);
    for (size_t i = 0; i < count; i++)
        log_error("%s", fault_text(faults, i));
    fault_list_free(faults);
    return count == 0;
}

static bool supervisor_listen(struct supervisor *sup)
{
    struct activation passed;
    const bool fine = activation_open(&passed) && supervisor_bind(sup, &passed) && doors_bind(&sup->doors, &supervisor_config(sup)->admin, &passed) &&
                      activation_is_used(&passed);
    activation_close(&passed);
    return fine;
}

static uint32_t supervisor_journal_flags(const struct supervisor *sup)
{
    const struct audit_settings *audit = &supervisor_config(sup)->audit;
    return (audit->unchained ? CHANNEL_FILE_UNCHAINED : 0) | (audit->sync_batch ? CHANNEL_FILE_SYNC : 0) |
           (generations_any_runs(&sup->generations) ? CHANNEL_FILE_SERVED : 0) | (sup->bereaved ? CHANNEL_FILE_BEREAVED : 0);
}

static bool supervisor_tell_journal(const struct supervisor *sup)
{
    const struct config *config = supervisor_config(sup);
    const struct audit_settings *audit = &config->audit;
    const int channel = sup->journal.channel, key = sup->settings->sign_key_fd;
    if (key >= 0 && !channel_tell(channel, CHANNEL_KEY, (uint32_t)audit->checkpoint_records, (uint32_t)audit->checkpoint_ms, key))
        return false;
    if (!generations_tell_journal(&sup->generations, &sup->journal))
        return false;
    return channel_say(channel, CHANNEL_NAME, 0, 0, -1, config->name) && channel_tell(channel, CHANNEL_SANDBOX, config->sandbox, 0, -1) &&
           channel_tell(channel, CHANNEL_RESERVE, (uint32_t)(audit->reserve >> 32), (uint32_t)audit->reserve, -1) &&
           channel_say(channel, CHANNEL_FILE, supervisor_journal_flags(sup), 0, -1, audit->file);
}

static bool supervisor_start_journal(struct supervisor *sup)
{
    generations_unlink(&sup->generations);
    if (!child_start(&sup->journal))
        return false;
    if (supervisor_tell_journal(sup))
        return true;
    child_hang_up(&sup->journal);
    return false;
}

static uint32_t supervisor_pulse_ms(const struct supervisor *sup)
{
    const uint32_t within_ms = sup->herald.notify.watchdog_ms / PULSES_PER_WATCHDOG;
    return within_ms > 0 && within_ms < PULSE_MS ? within_ms : PULSE_MS;
}

static bool supervisor_tell_server(const struct supervisor *sup, const struct generation *generation)
{
    const struct serving *serving = &sup->serving;
    const struct config *config = supervisor_config(sup);
    const int channel = generation->child.channel;
    if (!channel_say(channel, CHANNEL_NAME, config->audit.continue_on_failure ? CHANNEL_NAME_CONTINUE : 0, 0, -1, config->name))
        return false;
    if (serving->listen != NULL && !channel_say(channel, CHANNEL_LISTEN, 0, 0, -1, serving->listen))
        return false;
    if (!channel_say(channel, CHANNEL_CONFIG, sup->settings->workers, serving->edition, serving->candidate->fd, serving->path))
        return false;
    if (notify_is_open(&sup->herald.notify) && !channel_tell(channel, CHANNEL_PULSE, supervisor_pulse_ms(sup), 0, -1))
        return false;
    return doors_tell(&sup->doors, channel) && (sup->state.fd < 0 || channel_tell(channel, CHANNEL_STATE, 0, 0, sup->state.fd)) &&
           serving_tell_addresses(&serving->bounds, channel, false) && channel_tell(channel, CHANNEL_GO, serving->edition, generation->number, -1);
}

static bool supervisor_start_server(struct supervisor *sup, struct generation *generation)
{
    generation->child.capabilities = sup->capabilities;
    if (!generation_start(&sup->generations, generation))
        return false;
    const bool ok = supervisor_tell_server(sup, generation);
    if (ok && generation->state == GENERATION_SERVING)
        reload_server_started(sup->reload);
    else if (!ok)
        child_hang_up(&generation->child); /* half a set-up is none: without its channel it ends, and is started again */
    if (ok && sup->departure.stage == DEPARTURE_ANNOUNCED)
        channel_tell(generation->child.channel, CHANNEL_LEAVE, 0, 0, -1);
    return ok;
}

/* Connections are served, or are to be again. A server that dies later has no tunnel any more for which another would be needed. */
static bool supervisor_serves(const struct supervisor *sup)
{
    return sup->departure.stage < DEPARTURE_DRAINING;
}

/* While it stops nobody is answered any more; before that who asks hears at least a refusal. */
static bool supervisor_reloads(const struct supervisor *sup)
{
    return sup->departure.stage < DEPARTURE_STOPPING;
}

static bool supervisor_wants_journal(const struct supervisor *sup)
{
    const bool needed = supervisor_serves(sup) || (sup->ready && generations_any_runs(&sup->generations)); /* also for the last records of a stop */
    return sup->journal.pid == 0 && needed;
}

static bool supervisor_wants_server(const struct supervisor *sup)
{
    return generations_serving(&sup->generations)->child.pid == 0 && supervisor_serves(sup);
}

/* Starts what is not running and may be started; whenever one of them is new, they are linked anew. */
static void supervisor_start_due(struct supervisor *sup)
{
    struct generation *serving = generations_serving(&sup->generations);
    uint64_t now = clock_monotonic_ms();
    if (supervisor_wants_journal(sup) && now >= sup->journal.again_ms && !supervisor_start_journal(sup))
        log_error("the journal could not be started: %s", strerror(errno));
    if (supervisor_wants_server(sup) && now >= serving->child.again_ms && !supervisor_start_server(sup, serving))
        log_error("the server could not be started: %s", strerror(errno));
    if (generations_want_link(&sup->generations, &sup->journal) && now >= sup->generations.link_again_ms)
        generations_link(&sup->generations, &sup->journal);
    if (sup->reopen && sup->journal.channel >= 0 && channel_tell(sup->journal.channel, CHANNEL_REOPEN, 0, 0, -1))
        sup->reopen = false; /* else it has died, and the next one is told */
}

/* ---- on the way out ---- */

/* Nobody new gets into the queues of the listening sockets, which the server empties. Its copies are the last. */
static void supervisor_let_nobody_in(struct supervisor *sup)
{
    struct bounds nowhere = {.workers = sup->settings->workers};
    bounds_commit(&sup->serving.bounds, &nowhere);
}

static void supervisor_kill(struct supervisor *sup)
{
    for (size_t i = 0; i < sup->generations.count; i++)
        if (sup->generations.all[i]->child.pid > 0)
            kill(sup->generations.all[i]->child.pid, SIGKILL);
    if (sup->journal.pid > 0)
        kill(sup->journal.pid, SIGKILL);
    sup->exit_code = 1;
}

/* Another stage of it has begun. */
static void supervisor_depart(struct supervisor *sup)
{
    reload_close(sup->reload);
    herald_leaving(&sup->herald);
    switch (sup->departure.stage) {
    case DEPARTURE_NONE:
        break;
    case DEPARTURE_ANNOUNCED:
        log_info("leaving: not ready any more, and serving for %" PRIu64 " ms", supervisor_config(sup)->drain_delay_ms);
        generations_tell(&sup->generations, CHANNEL_LEAVE, 0);
        break;
    case DEPARTURE_DRAINING:
        supervisor_let_nobody_in(sup);
        generations_tell(&sup->generations, CHANNEL_DRAIN, 0);
        log_info("draining: nobody is let in any more; what is open has %" PRIu64 " s", supervisor_config(sup)->drain_timeout_ms / 1000);
        break;
    case DEPARTURE_STOPPING:
        log_info("stopping");
        generations_tell(&sup->generations, CHANNEL_STOP, 0);
        bounds_fini(&sup->serving.bounds); /* nobody accepts any more: who comes now is refused, not left waiting */
        break;
    case DEPARTURE_KILLING:
        supervisor_kill(sup);
        break;
    }
}

static struct departure_times supervisor_times(const struct supervisor *sup)
{
    const struct config *config = supervisor_config(sup);
    return (struct departure_times){.delay_ms = config->drain_delay_ms, .timeout_ms = config->drain_timeout_ms};
}

static void supervisor_ask_departure(struct supervisor *sup, enum departure_wish wish)
{
    const struct departure_times times = supervisor_times(sup);
    if (departure_ask(&sup->departure, wish, generations_serving(&sup->generations)->ready, clock_monotonic_ms(), &times))
        supervisor_depart(sup);
}

/* A server that is only being started again when the delay is over has nothing to drain. */
static void supervisor_go_on_departing(struct supervisor *sup)
{
    const struct departure_times times = supervisor_times(sup);
    const uint64_t now_ms = clock_monotonic_ms();
    if (!departure_go_on(&sup->departure, now_ms, &times))
        return;
    if (!generations_serving(&sup->generations)->ready && generations_are_drained(&sup->generations))
        departure_drained(&sup->departure, now_ms);
    supervisor_depart(sup);
}

static void supervisor_say_open(const struct channel_message *message)
{
    log_info("draining: open connections: %u, tunnels cut: %u", message->a, message->b);
}

static void supervisor_take_drained(struct supervisor *sup, struct generation *generation, const struct channel_message *message)
{
    generation->drained = true;
    if (!generations_are_drained(&sup->generations) || !departure_drained(&sup->departure, clock_monotonic_ms()))
        return;
    log_info("drained: nothing is open any more, tunnels cut: %u", message->b);
    supervisor_depart(sup);
}

static void supervisor_lose_server(struct supervisor *sup, struct generation *generation)
{
    child_hang_up(&generation->child);
    generation->ready = false;
    reload_server_lost(sup->reload, generation);
}

/* Before the first readiness a child that gives up, or dies again and again, means that nothing can be served: the audit file cannot be had, say. */
static bool supervisor_is_hopeless(const struct supervisor *sup, const struct child *child, int status)
{
    return !sup->ready && supervisor_serves(sup) && (WIFEXITED(status) || child_is_failing(child));
}

/* A journal that dies before it has written what follows from that leaves it to the next. */
static void supervisor_tell_end(struct supervisor *sup, const struct generation *generation, int status)
{
    sup->bereaved = sup->bereaved || !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    if (sup->journal.channel >= 0)
        channel_tell(sup->journal.channel, CHANNEL_ENDED, generation->number, 0, -1);
}

static void supervisor_server_ended(struct supervisor *sup, struct generation *generation, int status)
{
    supervisor_lose_server(sup, generation);
    supervisor_tell_end(sup, generation, status);
    if (!supervisor_serves(sup) && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
        sup->exit_code = 1; /* not an orderly end: records may be missing */
}

static void supervisor_reap(struct supervisor *sup)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (state_keeper_reap(&sup->state, supervisor_config(sup)->admin.state, pid, status))
            continue;
        struct generation *generation = generations_find(&sup->generations, pid);
        struct child *child = pid == sup->journal.pid ? &sup->journal : generation != NULL ? &generation->child : NULL;
        if (child == NULL)
            continue;
        child_ended(child, status);
        if (generation != NULL)
            supervisor_server_ended(sup, generation, status);
        if (supervisor_is_hopeless(sup, child, status)) {
            sup->exit_code = 1;
            supervisor_ask_departure(sup, DEPARTURE_STOP);
        }
    }
}

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
        default:
            log_warn("SIG%s is not served by this version: nothing was done", sigabbrev_np((int)info.ssi_signo));
        }
    }
}

/* Before the first readiness nobody waits for the ports, and on the way out there are none. */
static void supervisor_reloaded(void *arg)
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
    reload_server_ready(sup->reload);
    log_info("ready, %u workers", sup->settings->workers);
}

/* The descriptor of it is closed by the caller where it is left. */
static void supervisor_follow(struct supervisor *sup, struct generation *generation, struct channel_message *message)
{
    switch (message->kind) {
    case CHANNEL_STATE:
        if (message->fd >= 0)
            state_keeper_take(&sup->state, supervisor_config(sup)->admin.state, message->fd);
        message->fd = -1;
        break;
    case CHANNEL_READY:
        if (supervisor_serves(sup))
            supervisor_take_ready(sup, generation);
        break;
    case CHANNEL_OPEN:
        supervisor_say_open(message);
        break;
    case CHANNEL_DRAINED:
        supervisor_take_drained(sup, generation, message);
        break;
    case CHANNEL_UNLINKED:
        if (message->b < sup->settings->workers)
            generation->linked[message->b] = false;
        break;
    case CHANNEL_ALIVE:
        herald_alive(&sup->herald, message->a == 0);
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

static int supervisor_wait_ms(const struct supervisor *sup)
{
    uint64_t now = clock_monotonic_ms(), until = UINT64_MAX;
    const struct {
        bool wanted;
        uint64_t at_ms;
    } due[] = {
        {sup->departure.stage != DEPARTURE_NONE, sup->departure.until_ms},
        {supervisor_wants_journal(sup), sup->journal.again_ms},
        {supervisor_wants_server(sup), generations_serving(&sup->generations)->child.again_ms},
        {generations_want_link(&sup->generations, &sup->journal), sup->generations.link_again_ms},
        {supervisor_reloads(sup), reload_at_ms(sup->reload)},
    };
    for (size_t i = 0; i < sizeof(due) / sizeof(due[0]); i++)
        if (due[i].wanted && due[i].at_ms < until)
            until = due[i].at_ms;
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

/* All of each: the last ones come right before its death. */
static void supervisor_hear(struct supervisor *sup, const struct pollfd *servers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        while (servers[i].revents != 0 && supervisor_take_message(sup, sup->generations.all[i]))
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

static void supervisor_free(struct supervisor *sup)
{
    const struct admin_settings *admin = &supervisor_config(sup)->admin;
    state_keeper_end(&sup->state, admin->state);
    doors_close(&sup->doors, admin); /* not before: an exeat that stops can still be asked how far it is */
    reload_free(sup->reload);
    notify_close(&sup->herald.notify);
    bounds_fini(&sup->serving.bounds);
    candidate_free(sup->serving.candidate);
    generations_fini(&sup->generations);
    if (sup->signals >= 0)
        close(sup->signals);
}

/* The usual soft limit of 1024 is a courtesy to select(2), which is not used here; children inherit it. */
static void supervisor_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* For good: everything after it, listeners of privileged ports too, goes by what is kept. */
static bool supervisor_give_up(struct supervisor *sup)
{
    const struct config *config = supervisor_config(sup);
    const struct sandbox_settings sandbox = {.mode = config->sandbox};
    struct privileges kept;
    if (!privileges_drop(config, &kept))
        return false;
    sup->capabilities = kept.server;
    sup->serving.may_mark = privileges_mark(config);
    return sandbox_enter(SANDBOX_SUPERVISOR, &sandbox, sup->holds);
}

static bool supervisor_cannot_start(void)
{
    log_error("cannot start: %s", strerror(errno));
    return false;
}

/* All that may stand in the way of a start, said. */
static bool supervisor_prepare(struct supervisor *sup)
{
    notify_open(&sup->herald.notify);
    if (!supervisor_watch_signals(sup))
        return supervisor_cannot_start();
    if (!supervisor_give_up(sup))
        return false;
    if (!supervisor_keep_bundle(sup))
        return supervisor_cannot_start();
    return supervisor_listen(sup) && state_keeper_open(&sup->state, supervisor_config(sup)->admin.state);
}

int supervisor_run(const struct supervisor_settings *settings)
{
    struct supervisor sup = {
        .settings = settings,
        .signals = -1,
        .doors = {.fds = {-1, -1}},
        .state = {.fd = -1},
        .serving = {.path = settings->config_path, .listen = settings->listen, .candidate = settings->candidate, .edition = 1},
        .journal = {.role = PROCESS_ROLE_JOURNAL, .channel = -1},
    };
    sup.herald = (struct herald){.serving = &sup.serving, .doors = &sup.doors, .ports_file = settings->ports_file};
    sup.serving.bounds.workers = settings->workers;
    if (!supervisor_prepare(&sup)) {
        sup.exit_code = 1;
    } else {
        sup.log = log_writer_start(STDERR_FILENO); /* from here on it watches children and must not wait for whoever reads its lines */
        if (sup.log != NULL)
            log_set_sink(log_writer_put, sup.log);
        fault_log(settings->warnings, false, true);
        log_info("supervisor: %s", sup.holds);
        supervisor_raise_limit();
        supervisor_loop(&sup);
        log_set_sink(NULL, NULL);
        if (sup.log != NULL)
            log_writer_stop(sup.log, 1000);
    }
    supervisor_free(&sup);
    return sup.exit_code;
}
