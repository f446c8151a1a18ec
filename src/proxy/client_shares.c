/* What each client holds: an entry for each that holds anything, found by its address. */
#include "proxy/client_shares.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/hash.h"

enum { BUCKETS = 1024 }; /* an agent a client, some thousands at most */

struct client_share {
    struct client_share *next;
    struct address client;
    size_t pending, open;
};

struct client_shares {
    pthread_mutex_t lock;
    uint64_t seed;
    size_t unknown; /* sessions of clients that are in no group */
    struct client_share *buckets[BUCKETS];
};

struct client_shares *client_shares_new(void)
{
    struct client_shares *shares = calloc(1, sizeof(*shares));
    if (shares == NULL)
        return NULL;
    pthread_mutex_init(&shares->lock, NULL);
    shares->seed = hash_seed();
    return shares;
}

void client_shares_free(struct client_shares *shares)
{
    if (shares == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (shares->buckets[i] != NULL) {
            struct client_share *share = shares->buckets[i];
            shares->buckets[i] = share->next;
            free(share);
        }
    }
    pthread_mutex_destroy(&shares->lock);
    free(shares);
}

/* Where the client's entry hangs, or would. */
static struct client_share **client_shares_find(struct client_shares *shares, const struct address *client)
{
    struct client_share **link = &shares->buckets[hash_bytes(client, sizeof(*client), shares->seed) % BUCKETS];
    while (*link != NULL && !address_equal(&(*link)->client, client))
        link = &(*link)->next;
    return link;
}

static enum share_answer client_share_grow(struct client_share **link, const struct address *client, const struct share_limits *limits)
{
    struct client_share *share = *link;
    if (share == NULL) {
        share = *link = calloc(1, sizeof(*share));
        if (share == NULL)
            return SHARE_NO_MEMORY;
        share->client = *client;
    }
    if (share->pending >= limits->pending || share->pending + share->open >= limits->sessions)
        return SHARE_PAST;
    share->pending++;
    return SHARE_TAKEN;
}

/* Who holds nothing has no entry. */
static void client_share_tidy(struct client_share **link)
{
    struct client_share *share = *link;
    if (share == NULL || share->pending + share->open > 0)
        return;
    *link = share->next;
    free(share);
}

enum share_answer client_shares_take(struct client_shares *shares, const struct address *client, bool unknown, const struct share_limits *limits)
{
    pthread_mutex_lock(&shares->lock);
    enum share_answer answer = SHARE_PAST;
    if (!unknown || shares->unknown < limits->unknown) {
        struct client_share **link = client_shares_find(shares, client);
        answer = client_share_grow(link, client, limits);
        client_share_tidy(link);
    }
    shares->unknown += unknown && answer == SHARE_TAKEN;
    pthread_mutex_unlock(&shares->lock);
    return answer;
}

void client_shares_open(struct client_shares *shares, const struct address *client)
{
    pthread_mutex_lock(&shares->lock);
    struct client_share *share = *client_shares_find(shares, client);
    assert(share != NULL && share->pending > 0);
    share->pending--;
    share->open++;
    pthread_mutex_unlock(&shares->lock);
}

void client_shares_give(struct client_shares *shares, const struct address *client, bool unknown, bool open)
{
    pthread_mutex_lock(&shares->lock);
    struct client_share **link = client_shares_find(shares, client), *share = *link;
    assert(share != NULL && (open ? share->open : share->pending) > 0);
    if (open)
        share->open--;
    else
        share->pending--;
    client_share_tidy(link);
    shares->unknown -= unknown;
    pthread_mutex_unlock(&shares->lock);
}
