/* A reload as the supervisor does it: the configuration is read aside, judged, offered to the servers that live, and taken whole or not at all. */
#include "host/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/background.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "host/privileges.h"
#include "host/reload_records.h"
#include "host/reload_round.h"
#include "host/watch.h"

/* Reading has no end where a file's server does not answer, nor has taking where a worker hangs, until the watchdog ends it. */
#define HANG_PATIENCE_MS 60000

/* For the end of the process: who reads a million patterns takes no longer. */
#define LEAVE_PATIENCE_MS 2000

/* Why nothing is taken when exeat is on its way out: who is asked to finish is not given other rules half-way. */
#define CLOSED "exeat is being stopped, and goes by what it has until its end"

/* Why nothing is taken when it cannot be told, which two seconds were not enough for. */
#define DEAF "the server does not listen to its supervisor"

/* In this order, and from each back to the first when there is a fault. */
enum reload_step {
    RELOAD_IDLE = 0,
    RELOAD_READING, /* aside, on a thread */
    RELOAD_OFFERED, /* the servers read the same bytes, and will say so */
    RELOAD_SHARED,  /* the one that serves was sent the sockets that are new, and will say whether it has them */
    RELOAD_GIVEN,   /* it is what serves; the workers are taking it */
};

struct reload {
    struct serving *serving;
    struct generations *generations;
    enum reload_step step;
    bool wanted;    /* asked for since the last one began */
    bool held;      /* none begins */
    uint32_t count; /* how many have begun */
    struct background reading;
    struct candidate *next;
    struct bounds bounds;              /* planned for that */
    uint32_t number;                   /* of the edition that was offered last */
    struct reload_round round;         /* the last, from that offer on */
    uint64_t patience_ms, hangs_at_ms; /* until it is called hanging, and when that is; UINT64_MAX: it was */
    uint32_t counts[2];                /* refused, taken: so far, through all servers */
    struct reload_records owed;
    bool closed;
    struct watch *watch;    /* NULL: `watch = off` */
    struct bundle *refused; /* what was read last, and is watched for a change, when it was not taken */
    void (*taken)(void *arg);
    void *arg;
};

static void reload_watch(struct reload *reload);
static void reload_begin(struct reload *reload);
static void reload_advance(struct reload *reload);

/* ---- the servers ---- */

static bool reload_order_all(struct reload *reload, enum channel_kind kind)
{
    return reload_round_begin(&reload->round, &(struct channel_message){.kind = kind, .a = reload->number, .fd = -1});
}

/* ---- its life ---- */

struct reload *reload_new(struct serving *serving, struct generations *generations, void (*taken)(void *arg), void *arg)
{
    struct reload *reload = calloc(1, sizeof(*reload));
    if (reload == NULL)
        return NULL;
    *reload = (struct reload){.serving = serving, .generations = generations, .number = serving->edition, .taken = taken, .arg = arg};
    reload->bounds.workers = serving->bounds.workers;
    reload->patience_ms = HANG_PATIENCE_MS;
    reload_round_init(&reload->round, generations);
    if (!background_init(&reload->reading)) {
        free(reload);
        return NULL;
    }
    reload_watch(reload);
    return reload;
}

static void reload_drop_next(struct reload *reload)
{
    candidate_free(reload->next);
    reload->next = NULL;
}

void reload_free(struct reload *reload)
{
    if (reload == NULL)
        return;
    if (!background_leave(&reload->reading, LEAVE_PATIENCE_MS)) {
        log_warn("a file of the configuration is still being read: it is left behind");
        reload->serving->candidate = NULL;
        return;
    }
    bounds_roll_back(&reload->serving->bounds, &reload->bounds);
    reload_drop_next(reload);
    watch_free(reload->watch);
    bundle_free(reload->refused);
    reload_records_fini(&reload->owed);
    free(reload);
}

/* What was read last is watched, taken or not: the same fault is not told twice. */
static void reload_watch(struct reload *reload)
{
    const struct candidate *candidate = reload->serving->candidate;
    if (!candidate->config->watch || reload->closed) {
        watch_free(reload->watch);
        reload->watch = NULL;
        return;
    }
    if (reload->watch == NULL && (reload->watch = watch_new()) == NULL)
        log_warn("the files of the configuration cannot be watched: %s", strerror(errno));
    if (reload->watch != NULL)
        watch_set(reload->watch, reload->refused != NULL ? reload->refused : candidate->bundle, clock_monotonic_ms());
}

/* ---- its end ---- */

static void reload_tell_records(struct reload *reload)
{
    const struct generation *writer = generations_serving(reload->generations);
    if (writer->ready)
        reload_records_tell(&reload->owed, writer->child.channel);
}

static void reload_tell_counts(const struct reload *reload)
{
    const int channel = generations_serving(reload->generations)->child.channel;
    if (channel >= 0)
        channel_tell(channel, CHANNEL_RELOADS, reload->counts[true], reload->counts[false], -1);
}

/* Through whichever server was asked. */
static void reload_tell_outcome(struct reload *reload, bool taken, const char *words)
{
    reload->counts[taken]++;
    reload_tell_counts(reload);
    for (size_t i = 0; i < reload->generations->count; i++) {
        const struct generation *generation = reload->generations->all[i];
        if (generation->child.channel >= 0)
            channel_tell_outcome(generation->child.channel, CHANNEL_OUTCOME, generation->reload.began, taken, words);
    }
}

/* ---- one that hangs ---- */

/* What it waits for that has no deadline of its own; NULL: nothing. */
static const char *reload_waits_for(const struct reload *reload)
{
    if (reload->step == RELOAD_READING)
        return "a file of the configuration is still being read; what was before goes on until then";
    return reload->step == RELOAD_GIVEN ? "it is what serves, but not every worker goes by it yet" : NULL;
}

/* When that is called hanging; UINT64_MAX: it was, or there is nothing. */
static uint64_t reload_hangs_at_ms(const struct reload *reload)
{
    return reload_waits_for(reload) != NULL ? reload->hangs_at_ms : UINT64_MAX;
}

/* Also those who asked for the next one. It is no outcome: what is under way and what is asked for stay so. */
static void reload_tell_hang(const struct reload *reload)
{
    for (size_t i = 0; i < reload->generations->count; i++) {
        const struct generation *generation = reload->generations->all[i];
        if (generation->child.channel >= 0)
            channel_tell_outcome(generation->child.channel, CHANNEL_OUTCOME, generation->reload.asked, false, reload_waits_for(reload));
    }
}

static void reload_hang(struct reload *reload)
{
    reload->hangs_at_ms = UINT64_MAX;
    log_error("a reload hangs: %s", reload_waits_for(reload));
    reload_tell_hang(reload);
}

void reload_set_patience(struct reload *reload, uint64_t ms)
{
    reload->patience_ms = ms;
}

void reload_set_retired_patience(struct reload *reload, uint64_t ms)
{
    reload->round.retired_patience_ms = ms;
}

static void reload_over(struct reload *reload)
{
    reload->step = RELOAD_IDLE;
    reload_drop_next(reload);
    reload_watch(reload);
    if (reload->wanted && !reload->held)
        reload_begin(reload);
}

/* ---- refused ---- */

/* The bundle that was read outlives its candidate where the files are watched. */
static void reload_keep_refused(struct reload *reload)
{
    if (reload->next == NULL || reload->watch == NULL)
        return;
    bundle_free(reload->refused);
    bundle_shed(reload->next->bundle);
    reload->refused = reload->next->bundle;
    reload->next->bundle = NULL;
}

/* Before anybody hears of it nobody listens at what would have been new. */
static void reload_undo(struct reload *reload)
{
    if (reload->step >= RELOAD_OFFERED)
        reload_order_all(reload, CHANNEL_FORGET);
    bounds_roll_back(&reload->serving->bounds, &reload->bounds);
}

static void reload_refuse(struct reload *reload, const struct fault_list *faults)
{
    reload_undo(reload);
    char *lines = fault_lines(faults, true, true);
    fault_log(faults, true, false);
    log_error("the reload is refused: %zu fault%s; what was before goes on", fault_count(faults), fault_count(faults) == 1 ? "" : "s");
    reload_records_refused(&reload->owed, reload->serving->candidate, reload->next, faults);
    reload_tell_records(reload);
    reload_tell_outcome(reload, false, lines != NULL ? lines : "out of memory\n");
    free(lines);
    reload_keep_refused(reload);
    reload_over(reload);
}

/* For what befalls it otherwise. */
static void reload_fail(struct reload *reload, const char *what)
{
    struct fault_list *own = reload->next == NULL ? fault_list_new() : NULL;
    struct fault_list *faults = reload->next != NULL ? reload->next->faults : own;
    if (faults != NULL) {
        fault_add(faults, reload->serving->path, NULL, NULL, "%s", what);
        reload_refuse(reload, faults);
    } else {
        log_error("the reload is refused: %s", what);
        reload_tell_outcome(reload, false, what);
        reload_over(reload);
    }
    fault_list_free(own);
}

/* ---- taken ---- */

/* From here on it is what serves, whatever becomes of the servers. */
static void reload_commit(struct reload *reload)
{
    struct serving *serving = reload->serving;
    char old_digest[CONFIG_DIGEST_SIZE];
    memcpy(old_digest, serving->candidate->config->digest, sizeof(old_digest));
    serving_take(serving, reload->next, &reload->bounds, reload->number);
    reload->next = NULL;
    bundle_free(reload->refused);
    reload->refused = NULL;
    reload_watch(reload); /* not any more the files of what is gone */
    reload_records_taken(&reload->owed, old_digest, serving->candidate);
}

/* Every worker has it, or there is none that had anything else. */
static void reload_finish(struct reload *reload)
{
    const struct candidate *now = reload->serving->candidate;
    char *warnings = fault_lines(now->faults, false, true), *words = NULL;
    fault_log(now->faults, false, true);
    log_info("reloaded: %s", now->changes);
    reload_tell_records(reload);
    const bool whole = asprintf(&words, "%s%s\n", warnings != NULL ? warnings : "", now->changes) >= 0;
    reload_tell_outcome(reload, true, whole ? words : now->changes);
    if (whole)
        free(words);
    free(warnings);
    reload->taken(reload->arg);
    reload_over(reload);
}

/* The servers have all of it: now it is what serves. */
static void reload_take(struct reload *reload)
{
    if (!reload_order_all(reload, CHANNEL_GO)) {
        reload_fail(reload, DEAF);
        return;
    }
    reload_commit(reload);
    reload->step = RELOAD_GIVEN;
    reload->hangs_at_ms = clock_monotonic_ms() + reload->patience_ms;
    reload_advance(reload);
}

/* To the one that listens there. */
static bool reload_tell_addresses(const struct reload *reload)
{
    const int channel = generations_serving(reload->generations)->child.channel;
    return channel < 0 || serving_tell_addresses(&reload->bounds, channel, true);
}

/* The servers have read it: the sockets that are new must come, too, before anything is decided. */
static void reload_share(struct reload *reload)
{
    const struct serving *serving = reload->serving;
    struct fault_list *faults = reload->next->faults;
    if (reload->closed) {
        reload_fail(reload, CLOSED);
        return;
    }
    reload->step = RELOAD_SHARED;
    bounds_plan(&reload->bounds, &serving->bounds, reload->next->config, faults);
    if (fault_count(faults) > 0)
        reload_refuse(reload, faults);
    else if (!reload_tell_addresses(reload) || !reload_order_all(reload, CHANNEL_GIVEN))
        reload_fail(reload, DEAF);
    else
        reload_advance(reload);
}

/* It goes on when all have answered; where no server runs there is nobody to wait for. */
static void reload_advance(struct reload *reload)
{
    if (!reload_round_is_over(&reload->round))
        reload_round_go_on(&reload->round);
    else if (reload->step == RELOAD_OFFERED)
        reload_share(reload);
    else if (reload->step == RELOAD_SHARED)
        reload_take(reload);
    else if (reload->step == RELOAD_GIVEN)
        reload_finish(reload);
}

/* ---- reading and offering ---- */

/* On the thread. */
static void reload_read(void *arg)
{
    struct reload *reload = arg;
    const struct serving serving = *reload->serving; /* which may be gone before a file that hangs has come */
    reload->next = candidate_read(serving.candidate, serving.path, serving.listen);
    if (reload->next == NULL || reload->next->config == NULL)
        return;
    if (!serving.may_mark)
        privileges_forbid_marks(reload->next->config, reload->next->faults);
    if (fault_count(reload->next->faults) == 0)
        (void)candidate_store(reload->next);
}

static void reload_begin(struct reload *reload)
{
    reload->wanted = false;
    reload->count++;
    for (size_t i = 0; i < reload->generations->count; i++)
        reload->generations->all[i]->reload.began = reload->generations->all[i]->reload.asked;
    reload->step = RELOAD_READING;
    reload->hangs_at_ms = clock_monotonic_ms() + reload->patience_ms;
    if (reload->closed)
        reload_fail(reload, CLOSED);
    else if (!background_start(&reload->reading, reload_read, reload))
        reload_fail(reload, strerror(errno));
}

void reload_ask(struct reload *reload)
{
    reload->wanted = true;
    if (reload->step == RELOAD_IDLE && !reload->held)
        reload_begin(reload);
}

void reload_hold(struct reload *reload, bool held)
{
    reload->held = held;
    if (!held && reload->wanted && reload->step == RELOAD_IDLE)
        reload_begin(reload);
}

/* What the servers are reading is refused when it has been read; sockets that nobody will serve are not kept until then. */
void reload_close(struct reload *reload)
{
    reload->closed = true;
    if (reload->step == RELOAD_SHARED)
        reload_fail(reload, CLOSED);
    reload_watch(reload);
}

static void reload_offer(struct reload *reload)
{
    reload->number++;
    reload->step = RELOAD_OFFERED;
    struct channel_message offer = {.kind = CHANNEL_CONFIG, .a = reload->serving->bounds.workers, .b = reload->number, .fd = reload->next->fd};
    text_copy(offer.text, sizeof(offer.text), reload->serving->path, strlen(reload->serving->path));
    if (reload_round_begin(&reload->round, &offer))
        reload_advance(reload);
    else
        reload_fail(reload, DEAF);
}

static void reload_was_read(struct reload *reload)
{
    background_join(&reload->reading);
    if (reload->next == NULL)
        reload_fail(reload, "out of memory");
    else if (fault_count(reload->next->faults) > 0)
        reload_refuse(reload, reload->next->faults);
    else if (reload->next->fd < 0)
        reload_fail(reload, "there is no memory to hand the configuration over");
    else
        reload_offer(reload);
}

/* ---- what servers say ---- */

/* An answer of servers is waited for, without which nothing has happened yet. */
static bool reload_is_patient(const struct reload *reload)
{
    return reload->step == RELOAD_OFFERED || reload->step == RELOAD_SHARED;
}

void reload_server_started(struct reload *reload)
{
    generations_serving(reload->generations)->answered = true; /* it need not be given what it starts with */
    reload_tell_counts(reload);
}

/* When the one that serves has not given it; UINT64_MAX: it has, or none is waited for. */
static uint64_t reload_patient_until_ms(const struct reload *reload)
{
    return reload_is_patient(reload) ? reload_round_hangs_at_ms(&reload->round) : UINT64_MAX;
}

/* The same of those that have retired, whose answer to the last question is waited for, too. */
static uint64_t reload_retired_until_ms(const struct reload *reload)
{
    return reload->step >= RELOAD_OFFERED ? reload_round_late_at_ms(&reload->round) : UINT64_MAX;
}

/* The next one starts with what serves then. */
void reload_server_lost(struct reload *reload, const struct generation *generation)
{
    if (generation->state == GENERATION_SERVING && reload_is_patient(reload))
        reload_fail(reload, "the server ended while it read this");
    else
        reload_advance(reload);
}

void reload_server_ready(struct reload *reload)
{
    reload_tell_records(reload);
}

/* What all are asked for in a step, and what it means that one cannot. */
static const struct reload_question {
    enum channel_kind answer;
    const char *refusal; /* NULL: it can */
} QUESTIONS[] = {
    [RELOAD_IDLE] = {CHANNEL_NONE, NULL},
    [RELOAD_READING] = {CHANNEL_NONE, NULL},
    [RELOAD_OFFERED] = {CHANNEL_LOADED, "a server has no memory for it"},
    [RELOAD_SHARED] = {CHANNEL_WHOLE, "the server has not enough descriptors for its listeners"},
    [RELOAD_GIVEN] = {CHANNEL_TAKEN, NULL},
};

static void reload_take_answer(struct reload *reload, struct generation *generation, const struct channel_message *message)
{
    const struct reload_question *question = &QUESTIONS[reload->step];
    if (question->answer == CHANNEL_NONE || message->kind != question->answer || message->a != reload->number)
        return;
    generation->answered = true;
    if (question->refusal != NULL && message->b == 0)
        reload_fail(reload, question->refusal);
    else
        reload_advance(reload);
}

void reload_take_message(struct reload *reload, struct generation *generation, const struct channel_message *message)
{
    if (message->kind == CHANNEL_RELOAD) {
        if (message->a > generation->reload.asked)
            generation->reload.asked = message->a;
        reload_ask(reload);
        if (reload_waits_for(reload) != NULL && reload->hangs_at_ms == UINT64_MAX)
            reload_tell_hang(reload);
    } else {
        reload_take_answer(reload, generation, message);
    }
}

/* ---- its turn ---- */

void reload_set_counts(struct reload *reload, const uint32_t counts[2])
{
    memcpy(reload->counts, counts, sizeof(reload->counts));
}

const uint32_t *reload_counts(const struct reload *reload)
{
    return reload->counts;
}

uint32_t reload_last_number(const struct reload *reload)
{
    return reload->number;
}

uint32_t reload_count(const struct reload *reload)
{
    return reload->count;
}

bool reload_is_wanted(const struct reload *reload)
{
    return reload->wanted;
}

bool reload_is_over(const struct reload *reload)
{
    return reload->step == RELOAD_IDLE;
}

void reload_fds(const struct reload *reload, int fds[RELOAD_FDS])
{
    fds[0] = reload->step == RELOAD_READING ? reload->reading.bell : -1;
    fds[1] = reload->watch != NULL ? watch_fd(reload->watch) : -1;
}

uint64_t reload_at_ms(const struct reload *reload)
{
    const uint64_t due[] = {reload_patient_until_ms(reload), reload_retired_until_ms(reload), reload_hangs_at_ms(reload)};
    uint64_t at_ms = reload->watch != NULL ? watch_at_ms(reload->watch) : UINT64_MAX;
    for (size_t i = 0; i < sizeof(due) / sizeof(due[0]); i++)
        at_ms = due[i] < at_ms ? due[i] : at_ms;
    return at_ms;
}

void reload_go_on(struct reload *reload, const bool readable[RELOAD_FDS])
{
    const uint64_t now_ms = clock_monotonic_ms();
    if (readable[1] && reload->watch != NULL) /* it may have been given up in this turn */
        watch_heard(reload->watch, now_ms);
    if (readable[0])
        reload_was_read(reload);
    if (now_ms >= reload_patient_until_ms(reload))
        reload_fail(reload, "the server has not read it in time");
    if (now_ms >= reload_retired_until_ms(reload)) {
        reload_round_end_late(&reload->round);
        reload_advance(reload);
    }
    if (now_ms >= reload_hangs_at_ms(reload))
        reload_hang(reload);
    if (reload->watch != NULL && watch_is_due(reload->watch, now_ms)) {
        log_info("the files of the configuration have changed");
        reload_ask(reload);
    }
}
