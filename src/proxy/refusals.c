/* How often each client was refused lately: a table of fixed size, in which a few share a place. */
#include "proxy/refusals.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/bucket.h"
#include "base/hash.h"

struct refused {
    struct address client; /* not set: nobody */
    struct bucket lately;
};

struct refusals {
    pthread_mutex_t lock;
    uint64_t seed;
    struct refused sets[REFUSALS_SETS][REFUSALS_A_SET];
};

struct refusals *refusals_new(void)
{
    struct refusals *refusals = calloc(1, sizeof(*refusals));
    if (refusals == NULL)
        return NULL;
    pthread_mutex_init(&refusals->lock, NULL);
    refusals->seed = hash_seed();
    return refusals;
}

void refusals_free(struct refusals *refusals)
{
    if (refusals == NULL)
        return;
    pthread_mutex_destroy(&refusals->lock);
    free(refusals);
}

/* The client's own, or the one that is to be forgotten for it. */
static struct refused *refusals_place(struct refused set[REFUSALS_A_SET], const struct address *client)
{
    struct refused *oldest = &set[0];
    for (size_t i = 0; i < REFUSALS_A_SET; i++) {
        if (address_equal(&set[i].client, client))
            return &set[i];
        if (set[i].lately.at_ms < oldest->lately.at_ms)
            oldest = &set[i];
    }
    *oldest = (struct refused){.client = *client};
    return oldest;
}

bool refusals_count(struct refusals *refusals, const struct address *client, uint64_t most, uint64_t now_ms)
{
    const struct rate rate = {.amount = most, .span_ms = REFUSALS_SPAN_MS};
    struct refused *set = refusals->sets[hash_bytes(client, sizeof(*client), refusals->seed) % REFUSALS_SETS];
    pthread_mutex_lock(&refusals->lock);
    struct bucket *lately = &refusals_place(set, client)->lately;
    bucket_pour(lately, &rate, 1, now_ms);
    const bool past = bucket_room(lately, &rate, now_ms) < 0;
    pthread_mutex_unlock(&refusals->lock);
    return past;
}
