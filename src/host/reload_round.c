/* A round of a reload: all servers that live are told the same, and answer. */
#include "host/reload_round.h"

#include <signal.h>

#include "base/clock.h"
#include "base/log.h"

/* A server that has not read a configuration in this time hangs. It reads a million patterns in some seconds. */
#define PATIENCE_MS 120000

/* A retired one has the same to do on the same machine as the one that serves: it may take as long again, and this besides. */
#define RETIRED_PATIENCE_MS 10000

void reload_round_init(struct reload_round *round, struct generations *generations)
{
    *round = (struct reload_round){.generations = generations, .retired_patience_ms = RETIRED_PATIENCE_MS};
}

/* One that is to follow starts with what serves; one that has retired and has nothing open any more is being stopped. */
static bool reload_round_asks(const struct generation *generation)
{
    const bool leaves = generation->state == GENERATION_RETIRED && generation->drained;
    return generation->state != GENERATION_RISING && !leaves && generation->child.channel >= 0;
}

static bool reload_round_awaits(const struct generation *generation)
{
    return reload_round_asks(generation) && !generation->answered;
}

/* Else it would keep open what is not allowed any more, or keep all others from what is. */
static void reload_round_end(struct generation *retired)
{
    log_error("generation %u has retired and does not follow a reload: it is ended, with what it has open", retired->number);
    if (retired->child.pid > 0)
        kill(retired->child.pid, SIGKILL);
    child_hang_up(&retired->child);
}

bool reload_round_begin(struct reload_round *round, const struct channel_message *message)
{
    bool heard = true;
    round->asked_ms = clock_monotonic_ms();
    round->retired_until_ms = UINT64_MAX;
    for (size_t i = 0; i < round->generations->count; i++) {
        struct generation *generation = round->generations->all[i];
        generation->answered = false;
        if (!reload_round_asks(generation) || channel_send(generation->child.channel, message))
            continue;
        if (generation->state == GENERATION_RETIRED)
            reload_round_end(generation);
        else
            heard = false;
    }
    return heard;
}

bool reload_round_is_over(const struct reload_round *round)
{
    for (size_t i = 0; i < round->generations->count; i++)
        if (reload_round_awaits(round->generations->all[i]))
            return false;
    return true;
}

void reload_round_go_on(struct reload_round *round)
{
    const uint64_t now_ms = clock_monotonic_ms();
    if (round->retired_until_ms == UINT64_MAX && !reload_round_awaits(generations_serving(round->generations)))
        round->retired_until_ms = now_ms + (now_ms - round->asked_ms) + round->retired_patience_ms;
}

uint64_t reload_round_hangs_at_ms(const struct reload_round *round)
{
    return round->retired_until_ms == UINT64_MAX ? round->asked_ms + PATIENCE_MS : UINT64_MAX;
}

uint64_t reload_round_late_at_ms(const struct reload_round *round)
{
    return round->retired_until_ms;
}

void reload_round_end_late(struct reload_round *round)
{
    round->retired_until_ms = UINT64_MAX;
    for (size_t i = 0; i < round->generations->count; i++)
        if (reload_round_awaits(round->generations->all[i]) && round->generations->all[i]->state == GENERATION_RETIRED)
            reload_round_end(round->generations->all[i]);
}
