/* What the supervisor does for an upgrade: it says what it leaves, and lets the new program go on in its place. */
#include "host/supervisor_state.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "host/handover.h"
#include "host/successor.h"

static struct handover supervisor_hand_over(struct supervisor *sup)
{
    const struct serving *serving = &sup->serving;
    const uint32_t *reloads = reload_counts(sup->reload);
    return (struct handover){
        .workers = serving->bounds.workers,
        .capabilities = {sup->kept.supervisor, sup->kept.server},
        .may_mark = serving->may_mark,
        .configuration = serving->candidate->fd,
        .origin = serving->origin,
        .edition = reload_last_number(sup->reload),
        .sign_key = sup->settings->sign_key_fd,
        .bounds = serving->bounds,
        .doors = sup->doors,
        .state = sup->state,
        .journal = sup->journal,
        .reopen = sup->reopen,
        .bereaved = sup->bereaved,
        .generations = sup->generations,
        .reloads = {reloads[0], reloads[1]},
        .wants_reload = reload_is_wanted(sup->reload),
        .wants_upgrade = upgrade_is_wanted(&sup->upgrade),
    };
}

static pid_t supervisor_try(void *arg, int *said)
{
    struct supervisor *sup = arg;
    const struct handover handover = supervisor_hand_over(sup);
    log_info("an upgrade is asked for: %s is tried", sup->settings->successor->program);
    return successor_try(sup->settings->successor, &handover, said);
}

static bool supervisor_start_rising(void *arg, struct generation *generation)
{
    return supervisor_start_server(arg, generation);
}

static void supervisor_promoted(void *arg)
{
    supervisor_server_serves(arg);
}

/* Comes back only when that cannot be: everything goes on as it was. */
static void supervisor_succeed(struct supervisor *sup)
{
    const struct handover handover = supervisor_hand_over(sup);
    supervisor_log_here(sup, true);
    if (notify_pass_on(&sup->herald.notify))
        successor_become(sup->settings->successor, &handover);
    const int error = errno;
    notify_keep();
    supervisor_log_here(sup, false);
    upgrade_refuse(&sup->upgrade, strerror(error));
}

void supervisor_upgrade(struct supervisor *sup)
{
    upgrade_go_on(&sup->upgrade);
    if (sup->upgrade.step == UPGRADE_DUE)
        supervisor_succeed(sup);
}

void supervisor_begin_upgrades(struct supervisor *sup)
{
    const struct upgrade_hands hands = {supervisor_try, supervisor_start_rising, supervisor_promoted, sup};
    sup->upgrade = (struct upgrade){.generations = &sup->generations, .reload = sup->reload, .journal = &sup->journal, .hands = hands, .said = -1};
    const struct handover *left = sup->settings->left;
    if (left == NULL)
        return;
    log_info("going on in place of the program before");
    upgrade_continue(&sup->upgrade);
    if (left->wants_reload)
        reload_ask(sup->reload);
    if (left->wants_upgrade)
        upgrade_ask(&sup->upgrade, NULL, 0);
}
