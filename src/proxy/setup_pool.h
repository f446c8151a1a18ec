/* A worker's spare `struct setup`: every connection needs one, and soon gives it back. */
#ifndef EXEAT_PROXY_SETUP_POOL_H
#define EXEAT_PROXY_SETUP_POOL_H

struct setup;

struct setup_pool {
    struct setup *spare;
    unsigned count;
};

/* Zeroed, but for a buffer that may be there. NULL when out of memory. */
struct setup *setup_pool_take(struct setup_pool *pool);
/* What it owns is freed or kept for the next. Safe on NULL. */
void setup_pool_give(struct setup_pool *pool, struct setup *setup);
void setup_pool_empty(struct setup_pool *pool);

#endif
