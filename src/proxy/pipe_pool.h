/* A worker's pipes for splice(2): lent while bytes are in them, grown while there is much to move, closed when nobody needs them. */
#ifndef EXEAT_PROXY_PIPE_POOL_H
#define EXEAT_PROXY_PIPE_POOL_H

#include <stddef.h>

#include "proxy/budget.h"

struct loop;
struct pipe_pool;

/* Kernel memory that the pipes of all workers may hold: an ordinary user has 64 MiB, then gets pipes of 8 KiB (pipe(7)). */
#define PIPE_POOL_MAX ((size_t)48 << 20)

/* The steps in which a pipe grows. */
#define PIPE_SIZE_FIRST ((size_t)64 << 10) /* what the kernel gives unasked */
#define PIPE_SIZE_GROWN ((size_t)256 << 10)
#define PIPE_SIZE_MAX ((size_t)1 << 20)

struct pipe {
    struct pipe *next; /* the pool's */
    int in, out;       /* written to, read from; neither blocks */
    size_t size;       /* bytes that it can hold */
};

/* What all workers' pools share. */
struct pipe_budget {
    struct budget pipes; /* two descriptors each */
    struct budget bytes; /* of PIPE_POOL_MAX */
};

/* NULL: out of memory. */
struct pipe_pool *pipe_pool_new(struct loop *loop, struct pipe_budget *budget);
/* Every pipe must be back. Safe on NULL. */
void pipe_pool_free(struct pipe_pool *pool);

/* How long a pipe lies about unused before it is closed, at least (5 s; a test shortens it). */
void pipe_pool_trim_every(struct pipe_pool *pool, unsigned ms);

/* An empty pipe of at least `size` bytes where that can be had, else a smaller one. NULL: there is none, for want of descriptors or because others
 * hold all that may be held. */
struct pipe *pipe_pool_take(struct pipe_pool *pool, size_t size);

/* Gives it back, empty. */
void pipe_pool_give(struct pipe_pool *pool, struct pipe *pipe);

/* Closes it with what is in it. */
void pipe_pool_drop(struct pipe_pool *pool, struct pipe *pipe);

#endif
