/* A worker's pipes for splice(2): lent while bytes are in them, grown while there is much to move, closed when nobody needs them. */
#include "proxy/pipe_pool.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/loop.h"

#define TRIM_EVERY_MS 5000

struct pipe_pool {
    struct pipe *free; /* the one given back last first: its pages are warm */
    size_t count;      /* of these */
    size_t unused;     /* so many of them nobody has needed since the last trim */
    size_t size_max;   /* the kernel gives no larger one */
    struct pipe_budget *budget;
    struct event *trim;
    struct timeval trim_every;
};

/* ---- what all pools share ---- */

static bool pipe_budget_open(struct pipe_budget *budget)
{
    if (!budget_take(&budget->pipes, 1))
        return false;
    if (budget_take(&budget->bytes, PIPE_SIZE_FIRST))
        return true;
    budget_give(&budget->pipes, 1);
    return false;
}

static void pipe_budget_close(struct pipe_budget *budget, size_t size)
{
    budget_give(&budget->bytes, size);
    budget_give(&budget->pipes, 1);
}

/* ---- pipes that nobody uses ---- */

void pipe_pool_drop(struct pipe_pool *pool, struct pipe *pipe)
{
    pipe_budget_close(pool->budget, pipe->size);
    close(pipe->in);
    close(pipe->out);
    free(pipe);
}

static struct pipe *pipe_pool_pop(struct pipe_pool *pool)
{
    struct pipe *pipe = pool->free;
    if (!pipe)
        return NULL;
    pool->free = pipe->next;
    pool->count--;
    if (pool->count < pool->unused)
        pool->unused = pool->count;
    return pipe;
}

static void pipe_pool_want_trim(struct pipe_pool *pool)
{
    if (pool->free && !evtimer_pending(pool->trim, NULL))
        evtimer_add(pool->trim, &pool->trim_every);
}

/* What lay about all the time since the last one goes. */
static void pipe_pool_on_trim(evutil_socket_t fd, short what, void *arg)
{
    struct pipe_pool *pool = arg;
    (void)fd;
    (void)what;
    for (size_t surplus = pool->unused; surplus > 0; surplus--)
        pipe_pool_drop(pool, pipe_pool_pop(pool));
    pool->unused = pool->count;
    pipe_pool_want_trim(pool);
}

void pipe_pool_trim_every(struct pipe_pool *pool, unsigned ms)
{
    pool->trim_every = (struct timeval){.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
}

struct pipe_pool *pipe_pool_new(struct loop *loop, struct pipe_budget *budget)
{
    struct pipe_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return NULL;
    pool->budget = budget;
    pool->size_max = PIPE_SIZE_MAX;
    pipe_pool_trim_every(pool, TRIM_EVERY_MS);
    pool->trim = evtimer_new(loop->base, pipe_pool_on_trim, pool);
    if (pool->trim)
        return pool;
    free(pool);
    return NULL;
}

void pipe_pool_free(struct pipe_pool *pool)
{
    if (!pool)
        return;
    for (struct pipe *pipe = pipe_pool_pop(pool); pipe; pipe = pipe_pool_pop(pool))
        pipe_pool_drop(pool, pipe);
    event_free(pool->trim);
    free(pool);
}

/* ---- lending them ---- */

static struct pipe *pipe_pool_open(struct pipe_pool *pool)
{
    int ends[2];
    if (!pipe_budget_open(pool->budget))
        return NULL;
    struct pipe *pipe = calloc(1, sizeof(*pipe));
    if (pipe && pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0) {
        *pipe = (struct pipe){.in = ends[1], .out = ends[0], .size = PIPE_SIZE_FIRST};
        return pipe;
    }
    free(pipe);
    pipe_budget_close(pool->budget, PIPE_SIZE_FIRST);
    return NULL;
}

/* It stays as it is where the kernel or the other pools leave no room. */
static void pipe_pool_grow(struct pipe_pool *pool, struct pipe *pipe, size_t size)
{
    const size_t more = size - pipe->size;
    if (size > pool->size_max || !budget_take(&pool->budget->bytes, more))
        return;
    if (fcntl(pipe->in, F_SETPIPE_SZ, (int)size) >= 0) {
        pipe->size = size;
        return;
    }
    budget_give(&pool->budget->bytes, more);
    pool->size_max = pipe->size;
}

struct pipe *pipe_pool_take(struct pipe_pool *pool, size_t size)
{
    struct pipe *pipe = pipe_pool_pop(pool);
    if (!pipe)
        pipe = pipe_pool_open(pool);
    if (pipe && pipe->size < size)
        pipe_pool_grow(pool, pipe, size);
    return pipe;
}

void pipe_pool_give(struct pipe_pool *pool, struct pipe *pipe)
{
    pipe->next = pool->free;
    pool->free = pipe;
    pool->count++;
    pipe_pool_want_trim(pool);
}
