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
#include "base/text.h"
#include "host/bounds.h"
#include "host/channel.h"
#include "host/child.h"
#include "host/departure.h"
#include "host/doors.h"
#include "host/notify.h"
#include "host/ports_file.h"
#include "host/privileges.h"
#include "host/process.h"
#include "host/reload.h"
#include "host/sandbox.h"
#include "host/state_keeper.h"

#define LINK_AGAIN_MS 100

/* How often the workers are asked whether they live where a service manager wants to know: within the patience of its watchdog, and at least. */
#define PULSES_PER_WATCHDOG 3
#define PULSE_MS 10000

#define STATUS_MAX 512

struct supervisor {
    const struct supervisor_settings *settings;
    struct log_writer *log;
    int signals;
    struct serving serving;
    struct reload *reload;
    struct doors doors;
    struct state_keeper state;
    struct notify notify;
    uint32_t reloads_told; /* of which the service manager has heard */
    bool reloading;        /* … and is to hear the end */
    bool refusing;         /* new tunnels, as the server says */
    struct child journal, server;
    char holds[SANDBOX_TEXT_MAX]; /* what this process has given up */
    uint32_t generation;          /* how often the server was started */
    bool reopen;                  /* the journal is still to be told to reopen its file */
    bool *linked;                 /* by worker of the server that runs: it has a socket to the journal that runs */
    uint64_t link_again_ms;
    bool ready;        /* a server said so at least once */
    bool server_ready; /* the one that runs did */
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
    sup->linked = calloc(sup->settings->workers, sizeof(*sup->linked));
    if (sup->linked == NULL || !candidate_store(serving->candidate))
        return false;
    process_give_back();
    sup->reload = reload_new(serving, supervisor_reloaded, sup);
    return sup->reload != NULL;
}

static const struct config *supervisor_config(const struct supervisor *sup)
{
    return sup->serving.candidate->config;
}

static bool supervisor_bind(struct supervisor *sup)
{
    const struct bounds nowhere = {.workers = sup->settings->workers};
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

static void supervisor_unlink(struct supervisor *sup)
{
    memset(sup->linked, false, sup->settings->workers * sizeof(*sup->linked));
}

static bool supervisor_link_worker(struct supervisor *sup, unsigned worker)
{
    int ends[2];
    if (!channel_pair(ends))
        return false;
    bool ok = channel_tell(sup->journal.channel, CHANNEL_WORKER, sup->generation, worker, ends[0]) &&
              channel_tell(sup->server.channel, CHANNEL_JOURNAL, 0, worker, ends[1]);
    close(ends[0]);
    close(ends[1]);
    return ok;
}

/* One socket a worker between the server and the journal; each end goes to its process and is not kept here, so that either sees the other's
 * death. */
static void supervisor_link(struct supervisor *sup)
{
    bool ok = true;
    for (unsigned i = 0; i < sup->settings->workers; i++)
        ok = (sup->linked[i] || (sup->linked[i] = supervisor_link_worker(sup, i))) && ok;
    if (!ok)
        log_error("not every worker could be linked to the journal: %s", strerror(errno));
    sup->link_again_ms = clock_monotonic_ms() + LINK_AGAIN_MS;
}

static uint32_t supervisor_journal_flags(const struct supervisor *sup)
{
    const struct audit_settings *audit = &supervisor_config(sup)->audit;
    return (audit->unchained ? CHANNEL_FILE_UNCHAINED : 0) | (audit->sync_batch ? CHANNEL_FILE_SYNC : 0) |
           (sup->server.pid != 0 ? CHANNEL_FILE_SERVED : 0);
}

static bool supervisor_tell_journal(const struct supervisor *sup)
{
    const struct config *config = supervisor_config(sup);
    const struct audit_settings *audit = &config->audit;
    const int channel = sup->journal.channel, key = sup->settings->sign_key_fd;
    if (key >= 0 && !channel_tell(channel, CHANNEL_KEY, (uint32_t)audit->checkpoint_records, (uint32_t)audit->checkpoint_ms, key))
        return false;
    return channel_say(channel, CHANNEL_NAME, 0, 0, -1, config->name) && channel_tell(channel, CHANNEL_SANDBOX, config->sandbox, 0, -1) &&
           channel_tell(channel, CHANNEL_RESERVE, (uint32_t)(audit->reserve >> 32), (uint32_t)audit->reserve, -1) &&
           channel_say(channel, CHANNEL_FILE, supervisor_journal_flags(sup), 0, -1, audit->file);
}

static bool supervisor_start_journal(struct supervisor *sup)
{
    supervisor_unlink(sup);
    if (!child_start(&sup->journal))
        return false;
    if (supervisor_tell_journal(sup))
        return true;
    child_hang_up(&sup->journal);
    return false;
}

static uint32_t supervisor_pulse_ms(const struct supervisor *sup)
{
    const uint32_t within_ms = sup->notify.watchdog_ms / PULSES_PER_WATCHDOG;
    return within_ms > 0 && within_ms < PULSE_MS ? within_ms : PULSE_MS;
}

static bool supervisor_tell_server(const struct supervisor *sup)
{
    const struct serving *serving = &sup->serving;
    const struct config *config = supervisor_config(sup);
    const int channel = sup->server.channel;
    if (!channel_say(channel, CHANNEL_NAME, config->audit.continue_on_failure ? CHANNEL_NAME_CONTINUE : 0, 0, -1, config->name))
        return false;
    if (serving->listen != NULL && !channel_say(channel, CHANNEL_LISTEN, 0, 0, -1, serving->listen))
        return false;
    if (!channel_say(channel, CHANNEL_CONFIG, sup->settings->workers, serving->edition, serving->candidate->fd, serving->path))
        return false;
    if (notify_is_open(&sup->notify) && !channel_tell(channel, CHANNEL_PULSE, supervisor_pulse_ms(sup), 0, -1))
        return false;
    return doors_tell(&sup->doors, channel) && (sup->state.fd < 0 || channel_tell(channel, CHANNEL_STATE, 0, 0, sup->state.fd)) &&
           serving_tell_addresses(&serving->bounds, channel, false) && channel_tell(channel, CHANNEL_GO, serving->edition, sup->generation, -1);
}

static bool supervisor_start_server(struct supervisor *sup)
{
    supervisor_unlink(sup);
    if (!child_start(&sup->server))
        return false;
    sup->generation++;
    const bool ok = supervisor_tell_server(sup);
    if (ok)
        reload_set_channel(sup->reload, sup->server.channel);
    else
        child_hang_up(&sup->server); /* half a set-up is none: without its channel it ends, and is started again */
    if (ok && sup->departure.stage == DEPARTURE_ANNOUNCED)
        channel_tell(sup->server.channel, CHANNEL_LEAVE, 0, 0, -1);
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
    return sup->journal.pid == 0 && (supervisor_serves(sup) || (sup->ready && sup->server.pid > 0)); /* also for the last records of a stop */
}

static bool supervisor_wants_server(const struct supervisor *sup)
{
    return sup->server.pid == 0 && supervisor_serves(sup);
}

static bool supervisor_wants_link(const struct supervisor *sup)
{
    if (sup->journal.channel < 0 || sup->server.channel < 0)
        return false;
    return memchr(sup->linked, false, sup->settings->workers * sizeof(*sup->linked)) != NULL;
}

/* Starts what is not running and may be started; whenever one of the two is new, they are linked anew. */
static void supervisor_start_due(struct supervisor *sup)
{
    uint64_t now = clock_monotonic_ms();
    if (supervisor_wants_journal(sup) && now >= sup->journal.again_ms && !supervisor_start_journal(sup))
        log_error("the journal could not be started: %s", strerror(errno));
    if (supervisor_wants_server(sup) && now >= sup->server.again_ms && !supervisor_start_server(sup))
        log_error("the server could not be started: %s", strerror(errno));
    if (supervisor_wants_link(sup) && now >= sup->link_again_ms)
        supervisor_link(sup);
    if (sup->reopen && sup->journal.channel >= 0 && channel_tell(sup->journal.channel, CHANNEL_REOPEN, 0, 0, -1))
        sup->reopen = false; /* else it has died, and the next one is told */
}

/* ---- on the way out ---- */

static void supervisor_tell_departure(const struct supervisor *sup, enum channel_kind kind)
{
    if (sup->server.channel >= 0)
        channel_tell(sup->server.channel, kind, 0, 0, -1);
}

/* Nobody new gets into the queues of the listening sockets, which the server empties. Its copies are the last. */
static void supervisor_let_nobody_in(struct supervisor *sup)
{
    struct bounds nowhere = {.workers = sup->settings->workers};
    bounds_commit(&sup->serving.bounds, &nowhere);
}

static void supervisor_kill(struct supervisor *sup)
{
    if (sup->server.pid > 0)
        kill(sup->server.pid, SIGKILL);
    if (sup->journal.pid > 0)
        kill(sup->journal.pid, SIGKILL);
    sup->exit_code = 1;
}

/* Another stage of it has begun. */
static void supervisor_depart(struct supervisor *sup)
{
    reload_close(sup->reload);
    notify_stopping(&sup->notify);
    switch (sup->departure.stage) {
    case DEPARTURE_NONE:
        break;
    case DEPARTURE_ANNOUNCED:
        log_info("leaving: not ready any more, and serving for %" PRIu64 " ms", supervisor_config(sup)->drain_delay_ms);
        supervisor_tell_departure(sup, CHANNEL_LEAVE);
        break;
    case DEPARTURE_DRAINING:
        supervisor_let_nobody_in(sup);
        supervisor_tell_departure(sup, CHANNEL_DRAIN);
        log_info("draining: nobody is let in any more; what is open has %" PRIu64 " s", supervisor_config(sup)->drain_timeout_ms / 1000);
        break;
    case DEPARTURE_STOPPING:
        log_info("stopping");
        supervisor_tell_departure(sup, CHANNEL_STOP);
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
    if (departure_ask(&sup->departure, wish, sup->server_ready, clock_monotonic_ms(), &times))
        supervisor_depart(sup);
}

/* A server that is only being started again when the delay is over has nothing to drain. */
static void supervisor_go_on_departing(struct supervisor *sup)
{
    const struct departure_times times = supervisor_times(sup);
    const uint64_t now_ms = clock_monotonic_ms();
    if (!departure_go_on(&sup->departure, now_ms, &times))
        return;
    if (!sup->server_ready)
        departure_drained(&sup->departure, now_ms);
    supervisor_depart(sup);
}

static void supervisor_say_open(const struct channel_message *message)
{
    log_info("draining: open connections: %u, tunnels cut: %u", message->a, message->b);
}

static void supervisor_take_drained(struct supervisor *sup, const struct channel_message *message)
{
    if (!departure_drained(&sup->departure, clock_monotonic_ms()))
        return;
    log_info("drained: nothing is open any more, tunnels cut: %u", message->b);
    supervisor_depart(sup);
}

static void supervisor_lose_server(struct supervisor *sup)
{
    child_hang_up(&sup->server);
    sup->server_ready = false;
    reload_set_channel(sup->reload, -1);
}

/* Before the first readiness a child that gives up, or dies again and again, means that nothing can be served: the audit file cannot be had, say. */
static bool supervisor_is_hopeless(const struct supervisor *sup, const struct child *child, int status)
{
    return !sup->ready && supervisor_serves(sup) && (WIFEXITED(status) || child_is_failing(child));
}

static void supervisor_reap(struct supervisor *sup)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (state_keeper_reap(&sup->state, supervisor_config(sup)->admin.state, pid, status))
            continue;
        struct child *child = pid == sup->journal.pid ? &sup->journal : pid == sup->server.pid ? &sup->server : NULL;
        if (child == NULL)
            continue;
        child_ended(child, status);
        if (child == &sup->server)
            supervisor_lose_server(sup);
        if (!supervisor_serves(sup) && child == &sup->server && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
            sup->exit_code = 1; /* not an orderly end: records may be missing */
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
                reload_ask(sup->reload, 0);
            break;
        default:
            log_warn("SIG%s is not served by this version: nothing was done", sigabbrev_np((int)info.ssi_signo));
        }
    }
}

/* For scripts: where it listens, once it does. */
static void supervisor_write_ports(const struct supervisor *sup)
{
    const struct bounds *bounds = &sup->serving.bounds;
    struct ports_file ports;
    ports_file_begin(&ports, sup->settings->ports_file);
    for (size_t i = 0; i < bounds->count; i++)
        ports_file_add(&ports, bounds->all[i].name, &bounds->all[i].address);
    doors_add_ports(&sup->doors, &supervisor_config(sup)->admin, &ports);
    if (!ports_file_end(&ports))
        log_error("cannot write %s: %s", sup->settings->ports_file, strerror(errno));
}

/* For people: one line. */
static const char *supervisor_status(const struct supervisor *sup, char buf[STATUS_MAX])
{
    const struct bounds *bounds = &sup->serving.bounds;
    struct text text;
    text_init(&text, buf, STATUS_MAX);
    if (sup->refusing)
        text_add(&text, "new tunnels are refused: the audit journal cannot be written; ");
    text_format(&text, "%u workers", sup->settings->workers);
    for (size_t i = 0; i < bounds->count; i++) {
        char address[ENDPOINT_TEXT_MAX];
        text_format(&text, "%s %s (%s)", i == 0 ? " on" : ",", endpoint_text(&bounds->all[i].address, address), bounds->all[i].name);
    }
    return buf;
}

static void supervisor_notify_ready(struct supervisor *sup)
{
    char status[STATUS_MAX];
    notify_ready(&sup->notify, supervisor_status(sup, status));
}

/* Not before the first readiness, which the end of a reload would be taken for. */
static void supervisor_notify_reloads(struct supervisor *sup)
{
    if (!sup->ready || sup->departure.stage != DEPARTURE_NONE)
        return;
    if (sup->reloads_told != reload_count(sup->reload)) {
        sup->reloads_told = reload_count(sup->reload);
        sup->reloading = true;
        notify_reloading(&sup->notify);
    }
    if (sup->reloading && reload_is_over(sup->reload)) {
        sup->reloading = false;
        supervisor_notify_ready(sup);
    }
}

/* The watchdog is fed by the workers, through whoever stands between and nobody on his own: so it finds any of them that hangs. */
static void supervisor_take_pulse(struct supervisor *sup, bool refusing)
{
    char status[STATUS_MAX];
    notify_alive(&sup->notify);
    if (refusing == sup->refusing || !sup->ready || sup->departure.stage != DEPARTURE_NONE)
        return;
    sup->refusing = refusing;
    notify_status(&sup->notify, supervisor_status(sup, status));
}

/* Those that are new. */
static void supervisor_say_listeners(const struct supervisor *sup)
{
    const struct bounds *bounds = &sup->serving.bounds;
    for (size_t i = 0; i < bounds->count; i++) {
        char text[ENDPOINT_TEXT_MAX];
        if (bounds->all[i].fresh)
            log_info("listening on %s (%s)", endpoint_text(&bounds->all[i].address, text), bounds->all[i].name);
    }
}

/* Before the first readiness nobody waits for the ports, and on the way out there are none. */
static void supervisor_reloaded(void *arg)
{
    const struct supervisor *sup = arg;
    if (!sup->ready || !supervisor_serves(sup))
        return;
    supervisor_say_listeners(sup);
    supervisor_write_ports(sup);
}

static void supervisor_take_ready(struct supervisor *sup)
{
    if (!sup->ready) {
        supervisor_say_listeners(sup);
        supervisor_write_ports(sup);
        supervisor_notify_ready(sup);
    }
    sup->ready = true;
    sup->server_ready = true;
    reload_server_ready(sup->reload);
    log_info("ready, %u workers", sup->settings->workers);
}

/* False: there was none. */
static bool supervisor_take_message(struct supervisor *sup)
{
    struct channel_message message;
    int got = channel_receive(sup->server.channel, &message, false);
    if (got > 0 && message.kind == CHANNEL_STATE && message.fd >= 0)
        state_keeper_take(&sup->state, supervisor_config(sup)->admin.state, message.fd);
    else if (got > 0 && message.fd >= 0)
        close(message.fd);
    if (got > 0 && message.kind == CHANNEL_READY && supervisor_serves(sup))
        supervisor_take_ready(sup);
    if (got > 0 && message.kind == CHANNEL_OPEN)
        supervisor_say_open(&message);
    if (got > 0 && message.kind == CHANNEL_DRAINED)
        supervisor_take_drained(sup, &message);
    if (got > 0 && message.kind == CHANNEL_UNLINKED && message.b < sup->settings->workers)
        sup->linked[message.b] = false;
    if (got > 0 && message.kind == CHANNEL_ALIVE)
        supervisor_take_pulse(sup, message.a == 0);
    if (got > 0 && supervisor_reloads(sup)) /* what is under way at a stop is not taken: its addresses would be bound for nobody */
        reload_take_message(sup->reload, &message);
    if (got == 0) /* its death is told by SIGCHLD; until then there is nothing to hear */
        supervisor_lose_server(sup);
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
        {supervisor_wants_server(sup), sup->server.again_ms},
        {supervisor_wants_link(sup), sup->link_again_ms},
        {supervisor_reloads(sup), reload_at_ms(sup->reload)},
    };
    for (size_t i = 0; i < sizeof(due) / sizeof(due[0]); i++)
        if (due[i].wanted && due[i].at_ms < until)
            until = due[i].at_ms;
    return until == UINT64_MAX ? -1 : until <= now ? 0 : (int)(until - now);
}

/* When the server has stopped, the end of its sockets and of this channel lets the journal go. */
static bool supervisor_is_over(struct supervisor *sup)
{
    if (supervisor_serves(sup) || sup->server.pid != 0)
        return false;
    child_hang_up(&sup->journal);
    return sup->journal.pid == 0;
}

static void supervisor_reload(struct supervisor *sup, const struct pollfd watched[RELOAD_FDS])
{
    bool readable[RELOAD_FDS];
    for (int i = 0; i < RELOAD_FDS; i++)
        readable[i] = watched[i].revents != 0;
    if (supervisor_reloads(sup))
        reload_go_on(sup->reload, readable);
}

static void supervisor_loop(struct supervisor *sup)
{
    while (!supervisor_is_over(sup)) {
        supervisor_start_due(sup);
        int fds[RELOAD_FDS] = {-1, -1};
        if (supervisor_reloads(sup))
            reload_fds(sup->reload, fds);
        struct pollfd watched[2 + RELOAD_FDS] = {{.fd = sup->signals, .events = POLLIN},
                                                 {.fd = sup->server.channel, .events = POLLIN},
                                                 {.fd = fds[0], .events = POLLIN},
                                                 {.fd = fds[1], .events = POLLIN}};
        if (poll(watched, 2 + RELOAD_FDS, supervisor_wait_ms(sup)) > 0) {
            while (watched[1].revents != 0 && supervisor_take_message(sup)) /* all: the last ones come right before its death */
                continue;
            if (watched[0].revents != 0)
                supervisor_take_signals(sup);
        }
        supervisor_reload(sup, watched + 2);
        supervisor_notify_reloads(sup);
        supervisor_go_on_departing(sup);
    }
}

static void supervisor_free(struct supervisor *sup)
{
    const struct admin_settings *admin = &supervisor_config(sup)->admin;
    state_keeper_end(&sup->state, admin->state);
    doors_close(&sup->doors, admin); /* not before: an exeat that stops can still be asked how far it is */
    reload_free(sup->reload);
    notify_close(&sup->notify);
    bounds_fini(&sup->serving.bounds);
    candidate_free(sup->serving.candidate);
    free(sup->linked);
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
    sup->server.capabilities = kept.server;
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
    notify_open(&sup->notify);
    if (!supervisor_watch_signals(sup))
        return supervisor_cannot_start();
    if (!supervisor_give_up(sup))
        return false;
    if (!supervisor_keep_bundle(sup))
        return supervisor_cannot_start();
    const struct admin_settings *admin = &supervisor_config(sup)->admin;
    return supervisor_bind(sup) && doors_bind(&sup->doors, admin) && state_keeper_open(&sup->state, admin->state);
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
        .server = {.role = PROCESS_ROLE_SERVER, .channel = -1},
    };
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
