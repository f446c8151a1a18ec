/* The supervisor on its way out: what it does as each stage of a departure begins. */
#include "host/supervisor_state.h"

#include <inttypes.h>
#include <signal.h>

#include "base/clock.h"
#include "base/log.h"

/* So long the server that serves is kept for the last words of the others. */
#define STOP_LAST_MS 2000

bool supervisor_serves(const struct supervisor *sup)
{
    return sup->departure.stage < DEPARTURE_DRAINING;
}

bool supervisor_reloads(const struct supervisor *sup)
{
    return sup->departure.stage < DEPARTURE_STOPPING;
}

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

/* The one that serves is the last to stop: it hears what the others leave behind. But it does not wait for one that hangs. */
static void supervisor_stop_last(struct supervisor *sup)
{
    const struct child *serving = &generations_serving(&sup->generations)->child;
    if (sup->stop_last_ms == 0 || (sup->generations.count > 1 && clock_monotonic_ms() < sup->stop_last_ms))
        return;
    sup->stop_last_ms = 0;
    if (serving->channel >= 0)
        channel_tell(serving->channel, CHANNEL_STOP, (uint32_t)sup->generations.count - 1, 0, -1);
}

/* Another stage of it has begun. */
static void supervisor_depart(struct supervisor *sup)
{
    reload_close(sup->reload);
    upgrade_close(&sup->upgrade);
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
        sup->stop_last_ms = clock_monotonic_ms() + STOP_LAST_MS;
        generations_tell_retired(&sup->generations, CHANNEL_STOP, 1);
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

void supervisor_ask_departure(struct supervisor *sup, enum departure_wish wish)
{
    const struct departure_times times = supervisor_times(sup);
    if (departure_ask(&sup->departure, wish, generations_serving(&sup->generations)->ready, clock_monotonic_ms(), &times))
        supervisor_depart(sup);
}

/* A server that is only being started again when the delay is over has nothing to drain. */
void supervisor_go_on_departing(struct supervisor *sup)
{
    const struct departure_times times = supervisor_times(sup);
    const uint64_t now_ms = clock_monotonic_ms();
    supervisor_stop_last(sup);
    if (!departure_go_on(&sup->departure, now_ms, &times))
        return;
    if (!generations_serving(&sup->generations)->ready && generations_are_drained(&sup->generations))
        departure_drained(&sup->departure, now_ms);
    supervisor_depart(sup);
}

void supervisor_look_drained(struct supervisor *sup)
{
    if (!generations_are_drained(&sup->generations) || !departure_drained(&sup->departure, clock_monotonic_ms()))
        return;
    log_info("drained: nothing is open any more, tunnels cut: %u", generations_cut(&sup->generations));
    supervisor_depart(sup);
}
