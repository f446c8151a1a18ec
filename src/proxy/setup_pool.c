/* A worker's spare `struct setup`, with the buffers that they read into. */
#include "proxy/setup_pool.h"

#include <stdlib.h>

#include "proxy/session_state.h"

enum {
    SPARE_MAX = 64,     /* what a burst leaves beyond them goes back to the heap */
    SPARE_BYTES = 4096, /* a buffer that had to grow further is not kept */
};

struct setup *setup_pool_take(struct setup_pool *pool)
{
    struct setup *setup = pool->spare;
    if (setup == NULL)
        return calloc(1, sizeof(*setup));
    pool->spare = setup->next;
    pool->count--;
    *setup = (struct setup){.bytes = setup->bytes, .size = setup->size};
    return setup;
}

static void setup_pool_drop(struct setup *setup)
{
    free(setup->bytes);
    free(setup);
}

void setup_pool_give(struct setup_pool *pool, struct setup *setup)
{
    if (setup == NULL)
        return;
    client_hello_fini(&setup->hello);
    free(setup->user_agent);
    if (pool->count == SPARE_MAX || setup->size > SPARE_BYTES) {
        setup_pool_drop(setup);
        return;
    }
    setup->next = pool->spare;
    pool->spare = setup;
    pool->count++;
}

void setup_pool_empty(struct setup_pool *pool)
{
    while (pool->spare != NULL) {
        struct setup *setup = pool->spare;
        pool->spare = setup->next;
        setup_pool_drop(setup);
    }
    pool->count = 0;
}
