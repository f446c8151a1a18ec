/* The server's sign of life to the supervisor, as long as every worker gives one. */
#include "proxy/pulse.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>

#include "host/channel.h"
#include "proxy/census.h"

/* Whoever hears that tunnels are refused shall soon hear that they no longer are. */
#define REFUSING_MS 1000

struct pulse {
    struct census_wish wish; /* of the census from when the beat is due until it is told */
    struct census *census;
    int channel;
    uint32_t every_ms;
    struct event *beat;
};

static bool pulse_set(struct pulse *pulse, uint32_t ms)
{
    const struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    return evtimer_add(pulse->beat, &tv) == 0;
}

/* What is not answered is no sign of life, and no reason not to ask again. */
static void pulse_told(struct census_wish *wish, struct survey *whole)
{
    struct pulse *pulse = (struct pulse *)wish;
    const bool is_ready = whole != NULL && whole->journal_ready == whole->workers;
    if (whole != NULL)
        channel_tell(pulse->channel, CHANNEL_ALIVE, is_ready, 0, -1);
    pulse_set(pulse, is_ready || pulse->every_ms < REFUSING_MS ? pulse->every_ms : REFUSING_MS);
}

static void pulse_beat(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct pulse *pulse = arg;
    census_ask(pulse->census, &pulse->wish);
}

struct pulse *pulse_new(struct event_base *base, struct census *census, int channel, uint32_t every_ms)
{
    struct pulse *pulse = calloc(1, sizeof(*pulse));
    if (pulse == NULL)
        return NULL;
    *pulse = (struct pulse){
        .wish = {.done = pulse_told}, .census = census, .channel = channel, .every_ms = every_ms, .beat = evtimer_new(base, pulse_beat, pulse)};
    if (pulse->beat != NULL && pulse_set(pulse, 0))
        return pulse;
    pulse_free(pulse);
    return NULL;
}

void pulse_free(struct pulse *pulse)
{
    if (pulse == NULL)
        return;
    if (pulse->beat != NULL)
        event_free(pulse->beat);
    free(pulse);
}
