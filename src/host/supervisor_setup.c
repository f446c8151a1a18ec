/* The supervisor before its first turn and after its last: what it keeps, binds and gives up, or takes over from the program before. */
#include "host/supervisor_state.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/log_writer.h"
#include "host/activation.h"
#include "host/capability.h"
#include "host/handover.h"
#include "host/process.h"

/* For whoever reads the last lines of the log. */
#define LOG_PATIENCE_MS 1000

/* ---- either way ---- */

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

/* The usual soft limit of 1024 is a courtesy to select(2), which is not used here; children inherit it. */
static void supervisor_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static bool supervisor_cannot_start(void)
{
    log_error("cannot start: %s", strerror(errno));
    return false;
}

void supervisor_log_here(struct supervisor *sup, bool here)
{
    if (!here) {
        sup->log = log_writer_start(STDERR_FILENO);
        if (sup->log != NULL)
            log_set_sink(log_writer_put, sup->log);
    } else if (sup->log != NULL) {
        log_set_sink(NULL, NULL);
        log_writer_stop(sup->log, LOG_PATIENCE_MS);
        sup->log = NULL;
    }
}

static bool supervisor_enter_sandbox(struct supervisor *sup)
{
    const struct sandbox_settings sandbox = {.mode = supervisor_config(sup)->sandbox};
    return sandbox_enter(SANDBOX_SUPERVISOR, &sandbox, sup->holds);
}

/* In a file in memory, for this server and those that may have to follow it. Who may go where is for the server to know, once. */
static bool supervisor_keep_bundle(struct supervisor *sup)
{
    struct serving *serving = &sup->serving;
    if (serving->candidate->fd < 0 && !candidate_store(serving->candidate))
        return false;
    process_give_back();
    sup->reload = reload_new(serving, &sup->generations, supervisor_reloaded, sup);
    return sup->reload != NULL;
}

/* ---- from the start ---- */

static bool supervisor_bind(struct supervisor *sup, struct activation *passed)
{
    const struct bounds nowhere = {.workers = sup->settings->workers, .passed = passed};
    struct fault_list *faults = fault_list_new();
    if (faults == NULL)
        return supervisor_cannot_start();
    bounds_plan(&sup->serving.bounds, &nowhere, supervisor_config(sup), faults);
    const bool fine = fault_count(faults) == 0;
    fault_log(faults, true, false);
    fault_list_free(faults);
    return fine;
}

static bool supervisor_listen(struct supervisor *sup)
{
    struct activation passed;
    const bool fine = activation_open(&passed) && supervisor_bind(sup, &passed) && doors_bind(&sup->doors, &supervisor_config(sup)->admin, &passed) &&
                      activation_is_used(&passed);
    activation_close(&passed);
    return fine;
}

/* For good: everything after it, listeners of privileged ports too, goes by what is kept. */
static bool supervisor_give_up(struct supervisor *sup)
{
    const struct config *config = supervisor_config(sup);
    if (!privileges_drop(config, &sup->kept))
        return false;
    sup->serving.may_mark = privileges_mark(config);
    return supervisor_enter_sandbox(sup);
}

static bool supervisor_prepare(struct supervisor *sup)
{
    if (!supervisor_give_up(sup))
        return false;
    if (!generations_init(&sup->generations, sup->settings->workers) || !supervisor_keep_bundle(sup))
        return supervisor_cannot_start();
    return supervisor_listen(sup) && state_keeper_open(&sup->state, supervisor_config(sup)->admin.state);
}

/* ---- or where a program went before ---- */

static void supervisor_keep_left(struct supervisor *sup, const struct handover *left)
{
    sup->generations = left->generations;
    sup->serving.bounds = left->bounds;
    sup->serving.origin = left->origin;
    sup->serving.edition = left->edition;
    sup->serving.may_mark = left->may_mark;
    sup->doors = left->doors;
    sup->state = left->state;
    sup->journal = left->journal;
    sup->reopen = left->reopen;
    sup->bereaved = left->bereaved;
    sup->kept = (struct privileges){left->capabilities[0], left->capabilities[1]};
    sup->ready = sup->herald.ready = true;
}

static bool supervisor_take_over(struct supervisor *sup, const struct handover *left)
{
    supervisor_keep_left(sup, left);
    if (!capability_limit(sup->kept.supervisor | sup->kept.server, sup->kept.supervisor) || !supervisor_keep_bundle(sup))
        return supervisor_cannot_start();
    reload_set_counts(sup->reload, left->reloads);
    return supervisor_enter_sandbox(sup);
}

bool supervisor_begin(struct supervisor *sup)
{
    const struct handover *left = sup->settings->left;
    notify_open(&sup->herald.notify);
    supervisor_raise_limit();
    if (!supervisor_watch_signals(sup))
        return supervisor_cannot_start();
    return left != NULL ? supervisor_take_over(sup, left) : supervisor_prepare(sup);
}

/* ---- the end ---- */

void supervisor_free(struct supervisor *sup)
{
    const struct admin_settings *admin = &supervisor_config(sup)->admin;
    state_keeper_end(&sup->state, admin->state);
    doors_close(&sup->doors, admin); /* not before: an exeat that stops can still be asked how far it is */
    reload_free(sup->reload);
    notify_close(&sup->herald.notify);
    serving_fini(&sup->serving);
    generations_fini(&sup->generations);
    if (sup->signals >= 0)
        close(sup->signals);
}
