/* Connections that ended without a byte, counted by where they came from, on all workers together. */
#include "audit/probe_table.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"

#define SLOTS (2 * PROBE_SOURCES_MAX) /* a power of two */

struct probe_table {
    pthread_mutex_t lock;                               /* guards all below */
    struct probe_source sources[PROBE_SOURCES_MAX + 1]; /* the last place is the null source's */
    size_t used;
    uint16_t slots[SLOTS]; /* index of a source + 1; 0: free */
    uint64_t seed;
};

struct probe_table *probe_table_new(void)
{
    struct probe_table *table = calloc(1, sizeof(*table));
    if (!table)
        return NULL;
    pthread_mutex_init(&table->lock, NULL);
    table->seed = hash_seed();
    return table;
}

void probe_table_free(struct probe_table *table)
{
    if (!table)
        return;
    pthread_mutex_destroy(&table->lock);
    free(table);
}

static uint64_t probe_table_hash(const struct probe_table *table, const struct probe_source *source)
{
    uint64_t hash = hash_bytes(source->client_ip.bytes, sizeof(source->client_ip.bytes), table->seed);
    return hash_bytes(source->listener, strlen(source->listener), hash);
}

static bool probe_table_is_same(const struct probe_source *a, const struct probe_source *b)
{
    return address_compare(&a->client_ip, &b->client_ip) == 0 && address_compare(&a->peer_ip, &b->peer_ip) == 0 &&
           strcmp(a->listener, b->listener) == 0 && strcmp(a->mode, b->mode) == 0;
}

static void probe_table_add(struct probe_table *table, const struct probe_source *source)
{
    size_t slot = probe_table_hash(table, source) % SLOTS;
    for (; table->slots[slot] != 0; slot = (slot + 1) % SLOTS) {
        struct probe_source *known = &table->sources[table->slots[slot] - 1];
        if (probe_table_is_same(known, source)) {
            known->count++;
            return;
        }
    }
    if (table->used == PROBE_SOURCES_MAX) {
        table->sources[PROBE_SOURCES_MAX].count++;
        return;
    }
    table->sources[table->used++] = *source;
    table->slots[slot] = (uint16_t)table->used;
}

bool probe_table_count(struct probe_table *table, const char *listener, const char *mode, const struct address *client_ip,
                       const struct address *peer_ip)
{
    struct probe_source source = {.client_ip = *client_ip, .peer_ip = *peer_ip, .count = 1};
    text_copy(source.listener, sizeof(source.listener), listener ? listener : "", listener ? strlen(listener) : 0);
    text_copy(source.mode, sizeof(source.mode), mode ? mode : "", mode ? strlen(mode) : 0);
    pthread_mutex_lock(&table->lock);
    const bool is_first = table->used == 0;
    probe_table_add(table, &source);
    pthread_mutex_unlock(&table->lock);
    return is_first;
}

void probe_table_drain(struct probe_table *table, void (*take)(void *arg, const struct probe_source *source), void *arg)
{
    struct probe_source *rest = &table->sources[PROBE_SOURCES_MAX];
    pthread_mutex_lock(&table->lock);
    for (size_t i = 0; i < table->used; i++)
        take(arg, &table->sources[i]);
    if (rest->count > 0)
        take(arg, rest);
    memset(table->slots, 0, sizeof(table->slots));
    rest->count = 0;
    table->used = 0;
    pthread_mutex_unlock(&table->lock);
}
