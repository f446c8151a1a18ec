/* Connections that ended without a byte, counted by where they came from. */
#include "audit/probe_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"

#define SLOTS (2 * PROBE_SOURCES_MAX) /* a power of two */

struct probe_table {
    struct probe_source sources[PROBE_SOURCES_MAX + 1]; /* the last place is the null source's */
    size_t used;
    uint16_t slots[SLOTS]; /* index of a source + 1; 0: free */
    uint64_t seed;
};

struct probe_table *probe_table_new(void)
{
    struct probe_table *table = calloc(1, sizeof(*table));
    if (table)
        table->seed = hash_seed();
    return table;
}

void probe_table_free(struct probe_table *table)
{
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

void probe_table_count(struct probe_table *table, const char *listener, const char *mode, const struct address *client_ip,
                       const struct address *peer_ip)
{
    struct probe_source source = {.client_ip = *client_ip, .peer_ip = *peer_ip, .count = 1};
    text_copy(source.listener, sizeof(source.listener), listener ? listener : "", listener ? strlen(listener) : 0);
    text_copy(source.mode, sizeof(source.mode), mode ? mode : "", mode ? strlen(mode) : 0);
    size_t slot = probe_table_hash(table, &source) % SLOTS;
    for (; table->slots[slot] != 0; slot = (slot + 1) % SLOTS) {
        struct probe_source *known = &table->sources[table->slots[slot] - 1];
        if (probe_table_is_same(known, &source)) {
            known->count++;
            return;
        }
    }
    if (table->used == PROBE_SOURCES_MAX) {
        table->sources[PROBE_SOURCES_MAX].count++;
        return;
    }
    table->sources[table->used++] = source;
    table->slots[slot] = (uint16_t)table->used;
}

size_t probe_table_size(const struct probe_table *table)
{
    return table->used + (table->sources[PROBE_SOURCES_MAX].count > 0);
}

const struct probe_source *probe_table_at(const struct probe_table *table, size_t index)
{
    assert(index < probe_table_size(table)); /* the null source is counted only when all other places are taken */
    return &table->sources[index];
}

void probe_table_clear(struct probe_table *table)
{
    memset(table->slots, 0, sizeof(table->slots));
    table->sources[PROBE_SOURCES_MAX].count = 0;
    table->used = 0;
}
