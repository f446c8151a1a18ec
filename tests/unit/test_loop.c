/* The loop's graves: freed after the callback that dug them, before the loop waits, and whatever is left when the loop goes. */
#include "proxy/loop.h"

#include <criterion/criterion.h>
#include <event2/event.h>
#include <stdlib.h>

#include "net.h"

struct dead {
    struct grave grave;
    struct loop *loop;
    unsigned *buried;
    struct dead *heir; /* buried by its burial */
};

static void dead_bury(struct grave *grave)
{
    struct dead *dead = (struct dead *)grave;
    ++*dead->buried;
    if (dead->heir)
        loop_bury(dead->loop, &dead->heir->grave);
    free(dead);
}

static struct dead *dead_new(struct loop *loop, unsigned *buried, struct dead *heir)
{
    struct dead *dead = calloc(1, sizeof(*dead));
    cr_assert(dead != NULL);
    *dead = (struct dead){.grave.bury = dead_bury, .loop = loop, .buried = buried, .heir = heir};
    return dead;
}

struct turn {
    struct loop *loop;
    unsigned buried, during;
    bool later;
};

static void turn_buries(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct turn *turn = arg;
    for (int i = 0; i < 3; i++)
        loop_bury(turn->loop, &dead_new(turn->loop, &turn->buried, NULL)->grave);
    turn->during = turn->buried;
}

Test(loop, buries_after_the_callback_and_before_it_waits)
{
    struct turn turn = {.loop = loop_new()};
    struct event *event = evtimer_new(turn.loop->base, turn_buries, &turn);
    const struct timeval now = {0, 0};
    evtimer_add(event, &now);
    uint64_t before = loop_now_ms(turn.loop);
    event_base_dispatch(turn.loop->base); /* ends by itself when nothing is left to wait for */
    cr_expect_eq(turn.during, 0u);
    cr_expect_eq(turn.buried, 3u);
    cr_expect_lt(loop_now_ms(turn.loop) - before, 2000u);
    event_free(event);
    loop_free(turn.loop);
}

Test(loop, a_burial_may_bury)
{
    struct loop *loop = loop_new();
    unsigned buried = 0;
    loop_bury(loop, &dead_new(loop, &buried, dead_new(loop, &buried, dead_new(loop, &buried, NULL)))->grave);
    event_base_dispatch(loop->base);
    cr_expect_eq(buried, 3u);
    loop_free(loop);
}

Test(loop, freeing_it_buries_what_waits)
{
    struct loop *loop = loop_new();
    unsigned buried = 0;
    loop_bury(loop, &dead_new(loop, &buried, dead_new(loop, &buried, NULL))->grave);
    loop_bury(loop, &dead_new(loop, &buried, NULL)->grave);
    loop_free(loop);
    cr_expect_eq(buried, 3u);
}

Test(loop, has_a_scratch_buffer_and_a_clock_that_goes_on)
{
    struct loop *loop = loop_new();
    cr_assert(loop != NULL && loop->scratch != NULL);
    loop->scratch[LOOP_SCRATCH_SIZE - 1] = 1;
    uint64_t before = loop_now_ms(loop);
    net_run(loop, NULL, 20);
    cr_expect_geq(loop_now_ms(loop) - before, 15u);
    loop_free(loop);
    loop_free(NULL);
}
