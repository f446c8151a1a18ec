/* What everything on one worker shares: the event base, a scratch buffer, and a place where things are buried until the turn ends. */
#ifndef EXEAT_PROXY_LOOP_H
#define EXEAT_PROXY_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct event;
struct event_base;
struct pipe_pool;
struct slab;
struct wait_line;

#define LOOP_SCRATCH_SIZE 65536

/* Whatever may be freed from within its own callback embeds one: it is freed when the loop's turn ends. */
struct grave {
    struct grave *next;
    void (*bury)(struct grave *grave);
};

struct loop {
    struct event_base *base; /* events have the middle of its three priorities; the last is for what waits until all else is done */
    uint8_t *scratch;        /* LOOP_SCRATCH_SIZE bytes, for use within one callback */
    struct pipe_pool *pipes; /* the worker's; NULL: there are none */
    struct wait_line *looks; /* the worker's: relays wait in it for a look at their peers */
    struct slab *events;     /* what loop_event() makes */
    struct grave *graves;
    struct event *gravedigger;
};

/* NULL when out of memory. */
struct loop *loop_new(void);
/* Buries what waits, then frees base and buffer. Safe on NULL. */
void loop_free(struct loop *loop);

/* Calls grave->bury(grave) after the running callback has returned, before the loop waits again. */
void loop_bury(struct loop *loop, struct grave *grave);

/* What event_new() does, for events that come and go with every session. NULL when out of memory. */
struct event *loop_event(struct loop *loop, int fd, short what, void (*callback)(int fd, short what, void *arg), void *arg);
/* Frees the event that is of loop_event(), if there is one, and forgets it. */
void loop_drop(struct event **event);

/* The timer rings once, in so many milliseconds, whatever it was set to before. False when out of memory. */
bool loop_ring_in_ms(struct event *timer, uint64_t ms);

/* Monotonic milliseconds. */
uint64_t loop_now_ms(const struct loop *loop);

#endif
