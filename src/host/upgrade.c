/* An upgrade without a lost connection: step by step another program takes the place of the supervisor, the journal process and the server. */
#include "host/upgrade.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/* Each step has so long: a program that has not read a configuration of a million patterns by then hangs. */
#define STEP_PATIENCE_MS 120000

/* So long workers wait for the next journal process before they refuse: less than a client waits. */
#define JOURNAL_PATIENCE_MS 5000

/* Why there is none when exeat is on its way out. */
#define CLOSED "exeat is being stopped"

/* … and when the next server dies too early, however that is heard of. */
#define FALLEN "the server of the new program has ended before it was ready"

/* How much of what a program that is tried has said is repeated. */
#define SAID_MAX 8192

static void upgrade_step(struct upgrade *upgrade, enum upgrade_step step)
{
    upgrade->step = step;
    upgrade->until_ms = clock_monotonic_ms() + STEP_PATIENCE_MS;
}

/* ---- asked for ---- */

static void upgrade_begin(struct upgrade *upgrade)
{
    upgrade->wanted = false;
    for (size_t i = 0; i < upgrade->generations->count; i++)
        upgrade->generations->all[i]->upgrade.began = upgrade->generations->all[i]->upgrade.asked;
    reload_hold(upgrade->reload, true);
    upgrade_step(upgrade, UPGRADE_SETTLING);
    if (upgrade->closed)
        upgrade_refuse(upgrade, CLOSED);
}

void upgrade_ask(struct upgrade *upgrade, struct generation *through, uint32_t number)
{
    if (through != NULL && number > through->upgrade.asked)
        through->upgrade.asked = number;
    upgrade->wanted = true;
    if (upgrade->step == UPGRADE_NONE)
        upgrade_begin(upgrade);
}

bool upgrade_is_wanted(const struct upgrade *upgrade)
{
    return upgrade->wanted;
}

/* ---- its end ---- */

static void upgrade_over(struct upgrade *upgrade, bool done, const char *words)
{
    const struct generations *generations = upgrade->generations;
    upgrade->step = UPGRADE_NONE;
    for (size_t i = 0; i < generations->count; i++)
        if (generations->all[i]->child.channel >= 0)
            channel_tell_outcome(generations->all[i]->child.channel, CHANNEL_UPGRADED, generations->all[i]->upgrade.began, done, words);
    reload_hold(upgrade->reload, false);
    if (upgrade->wanted)
        upgrade_begin(upgrade);
}

static void upgrade_drop_trial(struct upgrade *upgrade)
{
    if (upgrade->trial > 0) {
        kill(upgrade->trial, SIGKILL);
        waitpid(upgrade->trial, NULL, 0);
    }
    if (upgrade->said >= 0)
        close(upgrade->said);
    upgrade->trial = 0;
    upgrade->said = -1;
}

void upgrade_refuse(struct upgrade *upgrade, const char *why)
{
    char words[SAID_MAX + 64];
    struct generation *rising = generations_rising(upgrade->generations);
    if (upgrade->step == UPGRADE_NONE)
        return;
    log_error("the upgrade is refused: %s", why);
    upgrade_drop_trial(upgrade);
    if (rising != NULL)
        child_hang_up(&rising->child); /* which it takes for its end */
    snprintf(words, sizeof(words), "%s\n", why);
    upgrade_over(upgrade, false, words);
}

void upgrade_close(struct upgrade *upgrade)
{
    upgrade->closed = true;
    upgrade_refuse(upgrade, CLOSED);
}

/* ---- in the old program ---- */

static void upgrade_try(struct upgrade *upgrade)
{
    if (upgrade->generations->count == GENERATIONS_MAX) {
        upgrade_refuse(upgrade, "as many servers as can be still have tunnels open");
        return;
    }
    const pid_t trial = upgrade->hands.try(upgrade->hands.arg, &upgrade->said);
    if (trial < 0) {
        upgrade->said = -1;
        upgrade_refuse(upgrade, strerror(errno));
        return;
    }
    upgrade->trial = trial;
    upgrade_step(upgrade, UPGRADE_TRYING);
}

/* Its lines, which are ours with its name in front. */
static void upgrade_refuse_as_said(struct upgrade *upgrade)
{
    char said[SAID_MAX];
    const ssize_t got = pread(upgrade->said, said, sizeof(said) - 1, 0);
    size_t len = got > 0 ? (size_t)got : 0;
    while (len > 0 && said[len - 1] == '\n')
        len--;
    said[len] = '\0';
    upgrade_refuse(upgrade, len > 0 ? said : "the new program cannot go on from here, and does not say why");
}

bool upgrade_reap(struct upgrade *upgrade, pid_t pid, int status)
{
    if (upgrade->trial == 0 || pid != upgrade->trial)
        return false;
    upgrade->trial = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        upgrade_drop_trial(upgrade);
        upgrade_step(upgrade, UPGRADE_DUE);
    } else {
        upgrade_refuse_as_said(upgrade);
    }
    return true;
}

/* ---- in the new one ---- */

void upgrade_continue(struct upgrade *upgrade)
{
    reload_hold(upgrade->reload, true);
    if (upgrade->journal->channel >= 0)
        upgrade->journal->yields = channel_tell(upgrade->journal->channel, CHANNEL_YIELD, JOURNAL_PATIENCE_MS, 0, -1);
    upgrade_step(upgrade, UPGRADE_YIELDING);
}

static void upgrade_raise(struct upgrade *upgrade)
{
    struct generation *rising = generations_raise(upgrade->generations);
    upgrade_step(upgrade, UPGRADE_RISING);
    if (rising == NULL) {
        upgrade_refuse(upgrade, strerror(ENOMEM));
        return;
    }
    if (upgrade->hands.start(upgrade->hands.arg, rising))
        return;
    const int error = errno;
    const bool fell = error == EPIPE || error == ECONNRESET; /* while it was told: its end is heard of later */
    if (rising->child.pid == 0)
        generations_forget(upgrade->generations, rising);
    upgrade_refuse(upgrade, fell ? FALLEN : strerror(error));
}

void upgrade_rise(struct upgrade *upgrade)
{
    char words[64];
    struct generation *before = generations_serving(upgrade->generations);
    generations_promote(upgrade->generations);
    if (before->child.channel >= 0)
        channel_tell(before->child.channel, CHANNEL_RETIRE, 0, 0, -1);
    if (before->child.pid == 0)
        generations_forget(upgrade->generations, before);
    upgrade->hands.promoted(upgrade->hands.arg);
    snprintf(words, sizeof(words), "generation %u serves", generations_serving(upgrade->generations)->number);
    log_info("upgraded: %s", words);
    upgrade_over(upgrade, true, words);
}

void upgrade_fall(struct upgrade *upgrade)
{
    if (upgrade->step == UPGRADE_RISING)
        upgrade_refuse(upgrade, FALLEN);
}

/* ---- its turn ---- */

/* A server that hangs does not hear that its channel is closed, and would stand in the way of the next one for good. */
static void upgrade_give_up(struct upgrade *upgrade)
{
    const struct generation *rising = generations_rising(upgrade->generations);
    if (rising != NULL && rising->child.pid > 0)
        kill(rising->child.pid, SIGKILL);
    upgrade_refuse(upgrade, "it takes too long");
}

/* The new program does not say that exeat is ready, as that was said before it; and what is owed to a server that comes is not left to it. */
static bool upgrade_has_settled(const struct upgrade *upgrade)
{
    return upgrade->step == UPGRADE_SETTLING && reload_is_over(upgrade->reload) && generations_serving(upgrade->generations)->ready;
}

uint64_t upgrade_at_ms(const struct upgrade *upgrade)
{
    if (upgrade_has_settled(upgrade))
        return 0;
    return upgrade->step == UPGRADE_NONE ? UINT64_MAX : upgrade->until_ms;
}

void upgrade_go_on(struct upgrade *upgrade)
{
    if (upgrade_has_settled(upgrade))
        upgrade_try(upgrade);
    if (upgrade->step == UPGRADE_YIELDING && upgrade->journal->channel >= 0 && !upgrade->journal->yields)
        upgrade_raise(upgrade);
    if (upgrade->step != UPGRADE_NONE && clock_monotonic_ms() >= upgrade->until_ms)
        upgrade_give_up(upgrade);
}
