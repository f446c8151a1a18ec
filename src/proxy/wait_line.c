/* Those who all wait equally long stand in line for their turn: one timer does for all of them, and none allocates. */
#include "proxy/wait_line.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>

#include "proxy/loop.h"

struct wait_line {
    struct loop *loop;
    uint64_t wait_ms;
    void (*turn)(struct waiter *waiter);
    struct waiter ring;  /* its head: who is due first is next */
    struct event *timer; /* for the first; rings in vain when that one has left */
};

static bool wait_line_is_empty(const struct wait_line *line)
{
    return line->ring.next == &line->ring;
}

/* Where there is no memory for it, whoever comes next sets it. */
static void wait_line_arm(struct wait_line *line)
{
    if (wait_line_is_empty(line) || evtimer_pending(line->timer, NULL))
        return;
    const uint64_t now_ms = loop_now_ms(line->loop), due_ms = line->ring.next->due_ms, ms = due_ms > now_ms ? due_ms - now_ms : 0;
    (void)loop_ring_in_ms(line->timer, ms);
}

static void wait_line_rings(evutil_socket_t fd, short what, void *arg)
{
    struct wait_line *line = arg;
    const uint64_t now_ms = loop_now_ms(line->loop);
    (void)fd, (void)what;
    while (!wait_line_is_empty(line) && line->ring.next->due_ms <= now_ms) {
        struct waiter *waiter = line->ring.next;
        wait_cancel(waiter);
        line->turn(waiter);
    }
    wait_line_arm(line);
}

struct wait_line *wait_line_new(struct loop *loop, uint64_t wait_ms, void (*turn)(struct waiter *waiter))
{
    assert(wait_ms > 0); /* who starts anew in its turn must not be due at once */
    struct wait_line *line = calloc(1, sizeof(*line));
    if (!line)
        return NULL;
    *line = (struct wait_line){.loop = loop, .wait_ms = wait_ms, .turn = turn, .ring = {.next = &line->ring, .prev = &line->ring}};
    line->timer = evtimer_new(loop->base, wait_line_rings, line);
    if (line->timer)
        return line;
    free(line);
    return NULL;
}

void wait_line_free(struct wait_line *line)
{
    if (!line)
        return;
    while (!wait_line_is_empty(line))
        wait_cancel(line->ring.next);
    event_free(line->timer);
    free(line);
}

uint64_t wait_line_ms(const struct wait_line *line)
{
    return line->wait_ms;
}

void wait_start(struct wait_line *line, struct waiter *waiter)
{
    assert(!wait_is_on(waiter));
    *waiter = (struct waiter){.next = &line->ring, .prev = line->ring.prev, .due_ms = loop_now_ms(line->loop) + line->wait_ms};
    waiter->prev->next = waiter->next->prev = waiter;
    wait_line_arm(line);
}

void wait_cancel(struct waiter *waiter)
{
    if (!wait_is_on(waiter))
        return;
    waiter->prev->next = waiter->next;
    waiter->next->prev = waiter->prev;
    waiter->next = waiter->prev = NULL;
}

bool wait_is_on(const struct waiter *waiter)
{
    return waiter->next != NULL;
}
