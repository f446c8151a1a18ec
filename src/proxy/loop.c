/* What everything on one worker shares: the event base, a scratch buffer, and a place where things are buried until the turn ends. */
#include "proxy/loop.h"

#include <event2/event.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/slab.h"

#define LOOP_PRIORITIES 3

/* Takes the list whole: what a burial buries in turn makes the next one. */
static void loop_dig(struct loop *loop)
{
    struct grave *grave = loop->graves;
    loop->graves = NULL;
    while (grave) {
        struct grave *next = grave->next;
        grave->bury(grave);
        grave = next;
    }
}

static void loop_turn_ends(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    loop_dig(arg);
}

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return NULL;
    loop->base = event_base_new();
    loop->scratch = malloc(LOOP_SCRATCH_SIZE);
    if (loop->base && event_base_priority_init(loop->base, LOOP_PRIORITIES) == 0)
        loop->gravedigger = event_new(loop->base, -1, 0, loop_turn_ends, loop);
    loop->events = slab_new(event_get_struct_event_size());
    if (loop->scratch && loop->gravedigger && loop->events)
        return loop;
    loop_free(loop);
    return NULL;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    while (loop->graves)
        loop_dig(loop);
    if (loop->gravedigger)
        event_free(loop->gravedigger);
    if (loop->base)
        event_base_free(loop->base);
    slab_free(loop->events);
    free(loop->scratch);
    free(loop);
}

void loop_bury(struct loop *loop, struct grave *grave)
{
    grave->next = loop->graves;
    loop->graves = grave;
    event_active(loop->gravedigger, EV_TIMEOUT, 0);
}

struct event *loop_event(struct loop *loop, int fd, short what, void (*callback)(int fd, short what, void *arg), void *arg)
{
    struct event *event = slab_take(loop->events);
    if (event)
        (void)event_assign(event, loop->base, fd, what, callback, arg); /* only one for signals can be wrong */
    return event;
}

void loop_drop(struct event **event)
{
    if (!*event)
        return;
    (void)event_del(*event);
    slab_give(*event);
    *event = NULL;
}

bool loop_ring_in_ms(struct event *timer, uint64_t ms)
{
    const struct timeval wait = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    return evtimer_add(timer, &wait) == 0;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    (void)loop; /* what libevent caches for the turn is wall time, which may jump */
    return clock_monotonic_ms();
}
