/* Every host pattern of a configuration in one hash table: which lists cover this name? */
#include "policy/host_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define SLOTS_MIN 16
#define BLOCK_BITS 16
#define BLOCK_SIZE ((size_t)1 << BLOCK_BITS)
#define BLOCKS_MAX ((size_t)1 << (32 - BLOCK_BITS))
#define KEY_MAX (HOSTNAME_MAX + 1)

/* One pattern. Its key is the name, or `.name` for all below it: a host is covered by itself and by each of its tails that begins with a dot. */
struct host_slot {
    uint32_t hash;
    uint32_t key_at; /* block and place in it: a byte of length, then the key; 0: a free slot */
    uint32_t chain;  /* the lists that hold it */
};

/* A set of lists is a chain: one list, then the rest of the set. Equal chains exist once, so that a million patterns of one list share one link. */
struct host_chain {
    uint32_t list;
    uint32_t rest; /* 0: none */
};

struct host_table {
    struct host_slot *slots; /* open addressing, linear; a power of two of them, at most three quarters in use */
    size_t slot_count;
    size_t used;
    uint8_t **blocks; /* of keys; a key never moves */
    size_t block_count;
    size_t block_used;         /* bytes of the last block */
    struct host_chain *chains; /* the first is no chain */
    size_t chain_count;
    size_t chain_room;
    uint32_t *chain_index; /* finds a chain by its content; a power of two, at most half in use */
    size_t chain_index_count;
};

static bool host_table_init(struct host_table *table)
{
    table->slots = calloc(SLOTS_MIN, sizeof(*table->slots));
    table->slot_count = SLOTS_MIN;
    table->chains = calloc(SLOTS_MIN, sizeof(*table->chains));
    table->chain_room = SLOTS_MIN;
    table->chain_count = 1;
    table->chain_index = calloc(2 * SLOTS_MIN, sizeof(*table->chain_index));
    table->chain_index_count = 2 * SLOTS_MIN;
    return table->slots && table->chains && table->chain_index;
}

struct host_table *host_table_new(void)
{
    struct host_table *table = calloc(1, sizeof(*table));
    if (table != NULL && !host_table_init(table)) {
        host_table_free(table);
        return NULL;
    }
    return table;
}

void host_table_free(struct host_table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->block_count; i++)
        free(table->blocks[i]);
    free(table->blocks);
    free(table->slots);
    free(table->chains);
    free(table->chain_index);
    free(table);
}

static const uint8_t *host_table_key(const struct host_table *table, const struct host_slot *slot)
{
    return table->blocks[slot->key_at >> BLOCK_BITS] + (slot->key_at & (BLOCK_SIZE - 1));
}

static uint32_t host_table_hash(const char *key, size_t len)
{
    return (uint32_t)hash_bytes(key, len, 0);
}

/* The slot of the key, or the free one where it would go. */
static struct host_slot *host_table_slot(const struct host_table *table, uint32_t hash, const char *key, size_t len)
{
    size_t mask = table->slot_count - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct host_slot *slot = &table->slots[i];
        if (slot->key_at == 0)
            return slot;
        if (slot->hash != hash)
            continue;
        const uint8_t *held = host_table_key(table, slot);
        if (held[0] == len && memcmp(held + 1, key, len) == 0)
            return slot;
    }
}

static bool host_table_grow_slots(struct host_table *table)
{
    if (4 * (table->used + 1) <= 3 * table->slot_count)
        return true;
    size_t count = 2 * table->slot_count;
    struct host_slot *slots = calloc(count, sizeof(*slots));
    if (slots == NULL)
        return false;
    for (size_t i = 0; i < table->slot_count; i++) {
        if (table->slots[i].key_at == 0)
            continue;
        size_t at = table->slots[i].hash & (count - 1);
        while (slots[at].key_at != 0)
            at = (at + 1) & (count - 1);
        slots[at] = table->slots[i];
    }
    free(table->slots);
    table->slots = slots;
    table->slot_count = count;
    return true;
}

static bool host_table_add_block(struct host_table *table)
{
    if (table->block_count == BLOCKS_MAX)
        return false;
    uint8_t **blocks = reallocarray(table->blocks, table->block_count + 1, sizeof(*blocks));
    if (blocks == NULL)
        return false;
    table->blocks = blocks;
    uint8_t *block = malloc(BLOCK_SIZE);
    if (block == NULL)
        return false;
    table->block_used = table->block_count == 0; /* nothing stands at 0 */
    table->blocks[table->block_count++] = block;
    return true;
}

/* Where the key was put, 0 when there is no room for it. */
static uint32_t host_table_keep(struct host_table *table, const char *key, size_t len)
{
    if ((table->block_count == 0 || table->block_used + 1 + len > BLOCK_SIZE) && !host_table_add_block(table))
        return 0;
    size_t at = table->block_used;
    uint8_t *held = table->blocks[table->block_count - 1] + at;
    held[0] = (uint8_t)len;
    memcpy(held + 1, key, len);
    table->block_used += 1 + len;
    return (uint32_t)((table->block_count - 1) << BLOCK_BITS | at);
}

/* Where in the index the chain stands, or would. */
static uint32_t *host_table_chain_place(const struct host_table *table, const struct host_chain *chain)
{
    size_t mask = table->chain_index_count - 1;
    for (size_t i = hash_bytes(chain, sizeof(*chain), 0) & mask;; i = (i + 1) & mask) {
        uint32_t number = table->chain_index[i];
        if (number == 0 || memcmp(&table->chains[number], chain, sizeof(*chain)) == 0)
            return &table->chain_index[i];
    }
}

static bool host_table_grow_chains(struct host_table *table)
{
    if (table->chain_count < table->chain_room)
        return true;
    size_t room = 2 * table->chain_room;
    struct host_chain *chains = room < UINT32_MAX ? realloc(table->chains, room * sizeof(*chains)) : NULL;
    if (chains == NULL)
        return false;
    table->chains = chains;
    uint32_t *index = calloc(2 * room, sizeof(*index));
    if (index == NULL)
        return false;
    free(table->chain_index);
    table->chain_room = room;
    table->chain_index = index;
    table->chain_index_count = 2 * room;
    for (uint32_t number = 1; number < table->chain_count; number++)
        *host_table_chain_place(table, &table->chains[number]) = number;
    return true;
}

static bool host_table_chain_has(const struct host_table *table, uint32_t chain, uint32_t list)
{
    for (; chain != 0; chain = table->chains[chain].rest) {
        if (table->chains[chain].list == list)
            return true;
    }
    return false;
}

/* Puts the list in front of the chain; false when out of memory. */
static bool host_table_chain_add(struct host_table *table, uint32_t *chain, uint32_t list)
{
    if (host_table_chain_has(table, *chain, list))
        return true;
    if (!host_table_grow_chains(table))
        return false;
    struct host_chain longer = {.list = list, .rest = *chain};
    uint32_t *place = host_table_chain_place(table, &longer);
    if (*place == 0) {
        table->chains[table->chain_count] = longer;
        *place = (uint32_t)table->chain_count++;
    }
    *chain = *place;
    return true;
}

bool host_table_add(struct host_table *table, const struct pattern *pattern, uint32_t list)
{
    assert(pattern->kind == PATTERN_EXACT || pattern->kind == PATTERN_BELOW);
    char key[KEY_MAX + 1] = ".";
    strcpy(key + (pattern->kind == PATTERN_BELOW), pattern->name);
    size_t len = strlen(key);
    uint32_t hash = host_table_hash(key, len);
    if (!host_table_grow_slots(table))
        return false;
    struct host_slot *slot = host_table_slot(table, hash, key, len);
    uint32_t chain = slot->chain;
    if (!host_table_chain_add(table, &chain, list))
        return false;
    if (slot->key_at == 0) {
        uint32_t key_at = host_table_keep(table, key, len);
        if (key_at == 0)
            return false;
        *slot = (struct host_slot){.hash = hash, .key_at = key_at};
        table->used++;
    }
    slot->chain = chain;
    return true;
}

/* Tells the lists of one key; false when the caller has heard enough. */
static bool host_table_tell(const struct host_table *table, const char *key, size_t len, bool (*found)(void *arg, uint32_t list), void *arg)
{
    const struct host_slot *slot = host_table_slot(table, host_table_hash(key, len), key, len);
    for (uint32_t chain = slot->chain; chain != 0; chain = table->chains[chain].rest) {
        if (!found(arg, table->chains[chain].list))
            return false;
    }
    return true;
}

void host_table_find(const struct host_table *table, const char *name, bool (*found)(void *arg, uint32_t list), void *arg)
{
    const char *end = name + strlen(name);
    bool more = host_table_tell(table, name, (size_t)(end - name), found, arg);
    for (const char *dot = strchr(name, '.'); more && dot != NULL; dot = strchr(dot + 1, '.'))
        more = host_table_tell(table, dot, (size_t)(end - dot), found, arg);
}

void host_table_each(const struct host_table *table, bool (*found)(void *arg, enum pattern_kind kind, const char *name, size_t len, uint32_t list),
                     void *arg)
{
    for (size_t i = 0; i < table->slot_count; i++) {
        const struct host_slot *slot = &table->slots[i];
        if (slot->key_at == 0)
            continue;
        const uint8_t *held = host_table_key(table, slot);
        bool below = held[1] == '.';
        const char *name = (const char *)held + 1 + below;
        for (uint32_t chain = slot->chain; chain != 0; chain = table->chains[chain].rest) {
            if (!found(arg, below ? PATTERN_BELOW : PATTERN_EXACT, name, held[0] - (size_t)below, table->chains[chain].list))
                return;
        }
    }
}

size_t host_table_count(const struct host_table *table)
{
    return table->used;
}
