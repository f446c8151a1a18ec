/* The processes of the service: started, told what they need, linked, missed when they end. */
#include "host/supervisor_state.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"

/* How often the workers are asked whether they live where a service manager wants to know: within the patience of its watchdog, and at least. */
#define PULSES_PER_WATCHDOG 3
#define PULSE_MS 10000

/* ---- the journal ---- */

static uint32_t supervisor_journal_flags(const struct supervisor *sup)
{
    const struct audit_settings *audit = &supervisor_config(sup)->audit;
    return (audit->unchained ? CHANNEL_FILE_UNCHAINED : 0) | (audit->sync_batch ? CHANNEL_FILE_SYNC : 0) |
           (generations_any_runs(&sup->generations) ? CHANNEL_FILE_SERVED : 0) | (sup->journal.yields ? CHANNEL_FILE_CONTINUES : 0) |
           (sup->bereaved ? CHANNEL_FILE_BEREAVED : 0);
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
    const bool told = supervisor_tell_journal(sup);
    sup->journal.yields = false;
    if (!told)
        child_hang_up(&sup->journal);
    return told;
}

/* ---- servers ---- */

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
    if (generation->state == GENERATION_RISING && !channel_tell(channel, CHANNEL_OTHERS, (uint32_t)sup->generations.count - 1, 0, -1))
        return false;
    return doors_tell(&sup->doors, channel) && (sup->state.fd < 0 || channel_tell(channel, CHANNEL_STATE, 0, 0, sup->state.fd)) &&
           serving_tell_addresses(&serving->bounds, channel, false) && channel_tell(channel, CHANNEL_GO, serving->edition, generation->number, -1);
}

/* The one that serves hears how many others live. */
static void supervisor_say_others(const struct supervisor *sup)
{
    const struct child *serving = &generations_serving(&sup->generations)->child;
    if (serving->channel >= 0)
        channel_tell(serving->channel, CHANNEL_OTHERS, (uint32_t)generations_others(&sup->generations), 0, -1);
}

void supervisor_server_serves(struct supervisor *sup)
{
    reload_server_started(sup->reload);
    supervisor_say_others(sup);
}

bool supervisor_start_server(struct supervisor *sup, struct generation *generation)
{
    generation->child.capabilities = sup->kept.server;
    if (!generation_start(&sup->generations, generation))
        return false;
    if (!supervisor_tell_server(sup, generation)) {
        child_hang_up(&generation->child); /* half a set-up is none: without its channel it ends, and is started again */
        return false;
    }
    if (generation->state == GENERATION_SERVING)
        supervisor_server_serves(sup);
    if (sup->departure.stage == DEPARTURE_ANNOUNCED)
        channel_tell(generation->child.channel, CHANNEL_LEAVE, 0, 0, -1);
    return true;
}

/* ---- who is wanted ---- */

static bool supervisor_wants_journal(const struct supervisor *sup)
{
    const bool needed = supervisor_serves(sup) || (sup->ready && generations_any_runs(&sup->generations)); /* also for the last records of a stop */
    return sup->journal.pid == 0 && needed;
}

static bool supervisor_wants_server(const struct supervisor *sup)
{
    return generations_serving(&sup->generations)->child.pid == 0 && supervisor_serves(sup);
}

void supervisor_start_due(struct supervisor *sup)
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

uint64_t supervisor_children_at_ms(const struct supervisor *sup)
{
    const struct {
        bool wanted;
        uint64_t at_ms;
    } due[] = {
        {supervisor_wants_journal(sup), sup->journal.again_ms},
        {supervisor_wants_server(sup), generations_serving(&sup->generations)->child.again_ms},
        {generations_want_link(&sup->generations, &sup->journal), sup->generations.link_again_ms},
    };
    uint64_t at_ms = UINT64_MAX;
    for (size_t i = 0; i < sizeof(due) / sizeof(due[0]); i++)
        if (due[i].wanted && due[i].at_ms < at_ms)
            at_ms = due[i].at_ms;
    return at_ms;
}

/* ---- who has ended ---- */

void supervisor_lose_server(struct supervisor *sup, struct generation *generation)
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

/* A retired one is not missed, and one that was to follow is tried again when somebody asks. */
static void supervisor_forget(struct supervisor *sup, struct generation *generation)
{
    const bool retired = generation->state == GENERATION_RETIRED;
    if (retired)
        log_info("generation %u has ended", generation->number);
    generations_forget(&sup->generations, generation);
    if (retired)
        supervisor_say_others(sup);
    else
        upgrade_fall(&sup->upgrade);
}

/* A journal that dies before it has written what follows from that leaves it to the next. */
static void supervisor_tell_end(struct supervisor *sup, const struct generation *generation, bool orderly)
{
    sup->bereaved = sup->bereaved || !orderly;
    if (sup->journal.channel >= 0)
        channel_tell(sup->journal.channel, CHANNEL_ENDED, generation->number, 0, -1);
}

static void supervisor_server_ended(struct supervisor *sup, struct generation *generation, int status)
{
    const bool orderly = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    supervisor_tell_end(sup, generation, orderly);
    supervisor_lose_server(sup, generation);
    if (!supervisor_serves(sup) && !orderly && generation->state != GENERATION_RISING)
        sup->exit_code = 1; /* records may be missing */
    if (generation->state != GENERATION_SERVING)
        supervisor_forget(sup, generation);
    supervisor_look_drained(sup);
}

void supervisor_reap(struct supervisor *sup)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (state_keeper_reap(&sup->state, supervisor_config(sup)->admin.state, pid, status) || upgrade_reap(&sup->upgrade, pid, status))
            continue;
        struct generation *generation = generations_find(&sup->generations, pid);
        struct child *child = pid == sup->journal.pid ? &sup->journal : generation != NULL ? &generation->child : NULL;
        if (child == NULL)
            continue;
        child_ended(child, status);
        const bool hopeless = supervisor_is_hopeless(sup, child, status);
        if (generation != NULL)
            supervisor_server_ended(sup, generation, status);
        if (hopeless) {
            sup->exit_code = 1;
            supervisor_ask_departure(sup, DEPARTURE_STOP);
        }
    }
}
