/* Every host pattern of a configuration in one hash table: which lists cover this name? */
#include "policy/host_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define TEXT_MIN 1024 /* more than an entry */
#define CHAINS_MIN 16
#define KEY_MAX (HOSTNAME_MAX + 1)

/* An entry is a pattern. The text holds them one behind the other: a number, the length of the key, the key. That is the name, or `.name` for all
 * below it: a host is covered by itself and by each of its tails that begins with a dot. The number is that of the one list for which it was added;
 * once sealed, each key has one entry, and the number is that of the chain of all its lists. */
#define ENTRY_LEN sizeof(uint32_t)
#define ENTRY_KEY (ENTRY_LEN + 1)

/* A set of lists is a chain: one list, then the rest of the set. Equal chains exist once, so that a million patterns of one list share one link. */
struct host_chain {
    uint32_t list;
    uint32_t rest; /* 0: none */
};

struct host_table {
    uint8_t *text;
    size_t text_used, text_room;
    size_t count; /* of entries */

    /* Since sealing: what finds an entry by its key (open addressing, linear). Of a look-up nearly all is done in the tags. */
    uint8_t *tags;    /* the lowest byte of the key's hash; 0: a free slot */
    uint32_t *places; /* where in the text the slot's entry stands */
    size_t slot_count;

    struct host_chain *chains; /* the first is no chain */
    size_t chain_count;
    size_t chain_room;
    uint32_t *chain_index; /* finds a chain by its content; a power of two, at most half in use; only while sealing */
    size_t chain_index_count;
    struct host_chain last; /* the chain that was looked for last: a list's patterns come one after the other */
    uint32_t last_number;
};

struct host_table *host_table_new(void)
{
    struct host_table *table = calloc(1, sizeof(*table));
    if (table == NULL)
        return NULL;
    table->text = malloc(TEXT_MIN);
    table->text_room = TEXT_MIN;
    if (table->text != NULL)
        return table;
    free(table);
    return NULL;
}

void host_table_free(struct host_table *table)
{
    if (table == NULL)
        return;
    free(table->text);
    free(table->tags);
    free(table->places);
    free(table->chains);
    free(table->chain_index);
    free(table);
}

static bool host_table_grow_text(struct host_table *table, size_t len)
{
    const size_t needed = table->text_used + ENTRY_KEY + len, room = 2 * table->text_room;
    if (needed <= table->text_room)
        return true;
    uint8_t *text = needed <= UINT32_MAX ? realloc(table->text, room) : NULL;
    if (text == NULL)
        return false;
    table->text = text;
    table->text_room = room;
    return true;
}

bool host_table_add(struct host_table *table, const struct pattern *pattern, uint32_t list)
{
    assert(table->slot_count == 0 && (pattern->kind == PATTERN_EXACT || pattern->kind == PATTERN_BELOW));
    const size_t dots = pattern->kind == PATTERN_BELOW ? 1 : 0, len = strlen(pattern->name);
    if (!host_table_grow_text(table, dots + len))
        return false;
    uint8_t *entry = table->text + table->text_used;
    memcpy(entry, &list, sizeof(list)); /* nothing is aligned here */
    entry[ENTRY_LEN] = (uint8_t)(dots + len);
    memset(entry + ENTRY_KEY, '.', dots);
    memcpy(entry + ENTRY_KEY + dots, pattern->name, len);
    table->text_used += ENTRY_KEY + dots + len;
    table->count++;
    return true;
}

static uint32_t host_table_number(const struct host_table *table, size_t place)
{
    uint32_t number;
    memcpy(&number, table->text + place, sizeof(number));
    return number;
}

static size_t host_table_entry_size(const struct host_table *table, size_t place)
{
    return ENTRY_KEY + table->text[place + ENTRY_LEN];
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

/* Makes it the last that was looked for, and a new one where there was none; false when out of memory. */
static bool host_table_find_chain(struct host_table *table, const struct host_chain *chain)
{
    if (!host_table_grow_chains(table))
        return false;
    uint32_t *place = host_table_chain_place(table, chain);
    if (*place == 0) {
        table->chains[table->chain_count] = *chain;
        *place = (uint32_t)table->chain_count++;
    }
    table->last = *chain;
    table->last_number = *place;
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
    const struct host_chain longer = {.list = list, .rest = *chain};
    if ((table->last_number == 0 || memcmp(&longer, &table->last, sizeof(longer)) != 0) && !host_table_find_chain(table, &longer))
        return false;
    *chain = table->last_number;
    return true;
}

static uint32_t host_table_hash(const char *key, size_t len)
{
    return (uint32_t)hash_bytes(key, len, 0);
}

static uint8_t host_table_tag(uint32_t hash)
{
    uint8_t tag = (uint8_t)hash;
    return tag ? tag : 1;
}

/* The slot of the key, or the free one where it would go. The search begins as far into the table as the hash is into the range of hashes. */
static size_t host_table_slot(const struct host_table *table, uint32_t hash, const char *key, size_t len)
{
    const uint8_t tag = host_table_tag(hash);
    for (size_t slot = (uint64_t)hash * table->slot_count >> 32;; slot = slot + 1 < table->slot_count ? slot + 1 : 0) {
        if (table->tags[slot] == 0)
            return slot;
        if (table->tags[slot] != tag)
            continue;
        const uint8_t *entry = table->text + table->places[slot];
        if (entry[ENTRY_LEN] == len && memcmp(entry + ENTRY_KEY, key, len) == 0)
            return slot;
    }
}

/* Gives the entry a slot and moves it to the end of those that have one; the list of an entry whose key has a slot joins the chain there. False when
 * out of memory. */
static bool host_table_settle(struct host_table *table, size_t place, size_t *end)
{
    const char *key = (const char *)table->text + place + ENTRY_KEY;
    const size_t size = host_table_entry_size(table, place);
    const uint32_t list = host_table_number(table, place), hash = host_table_hash(key, size - ENTRY_KEY);
    const size_t slot = host_table_slot(table, hash, key, size - ENTRY_KEY);
    const bool is_new = table->tags[slot] == 0;
    uint32_t chain = is_new ? 0 : host_table_number(table, table->places[slot]);
    if (!host_table_chain_add(table, &chain, list))
        return false;
    if (is_new) {
        memmove(table->text + *end, table->text + place, size);
        table->tags[slot] = host_table_tag(hash);
        table->places[slot] = (uint32_t)*end;
        table->count++;
        *end += size;
    }
    memcpy(table->text + table->places[slot], &chain, sizeof(chain));
    return true;
}

/* What is behind the last entry is not needed any more, nor is what only made chains. */
static void host_table_trim(struct host_table *table, size_t end)
{
    uint8_t *text = realloc(table->text, end + 1);
    table->text = text ? text : table->text;
    table->text_used = end;
    free(table->chain_index);
    table->chain_index = NULL;
}

static bool host_table_seal_begin(struct host_table *table)
{
    table->slot_count = table->count + table->count / 4 + 1; /* four fifths in use: tags are searched quickly */
    table->tags = calloc(table->slot_count, sizeof(*table->tags));
    table->places = calloc(table->slot_count, sizeof(*table->places));
    table->chain_room = CHAINS_MIN;
    table->chain_count = 1;
    table->chains = calloc(CHAINS_MIN, sizeof(*table->chains));
    table->chain_index_count = 2 * CHAINS_MIN;
    table->chain_index = calloc(2 * CHAINS_MIN, sizeof(*table->chain_index));
    table->count = 0;
    return table->tags && table->places && table->chains && table->chain_index;
}

bool host_table_seal(struct host_table *table)
{
    size_t end = 0, size;
    if (!host_table_seal_begin(table))
        return false;
    for (size_t place = 0; place < table->text_used; place += size) {
        size = host_table_entry_size(table, place); /* its bytes may be another's soon */
        if (!host_table_settle(table, place, &end))
            return false;
    }
    host_table_trim(table, end);
    return true;
}

/* Tells the lists of one key; false when the caller has heard enough. */
static bool host_table_tell(const struct host_table *table, const char *key, size_t len, bool (*found)(void *arg, uint32_t list), void *arg)
{
    const size_t slot = host_table_slot(table, host_table_hash(key, len), key, len);
    uint32_t chain = table->tags[slot] != 0 ? host_table_number(table, table->places[slot]) : 0;
    for (; chain != 0; chain = table->chains[chain].rest) {
        if (!found(arg, table->chains[chain].list))
            return false;
    }
    return true;
}

void host_table_find(const struct host_table *table, const char *name, bool (*found)(void *arg, uint32_t list), void *arg)
{
    assert(table->slot_count != 0);
    const char *end = name + strlen(name);
    bool more = host_table_tell(table, name, (size_t)(end - name), found, arg);
    for (const char *dot = strchr(name, '.'); more && dot != NULL; dot = strchr(dot + 1, '.'))
        more = host_table_tell(table, dot, (size_t)(end - dot), found, arg);
}

/* Tells the lists of one entry; false when the caller has heard enough. */
static bool host_table_tell_entry(const struct host_table *table, size_t place,
                                  bool (*found)(void *arg, enum pattern_kind kind, const char *name, size_t len, uint32_t list), void *arg)
{
    const char *key = (const char *)table->text + place + ENTRY_KEY;
    const bool below = key[0] == '.';
    const size_t len = host_table_entry_size(table, place) - ENTRY_KEY - below;
    for (uint32_t chain = host_table_number(table, place); chain != 0; chain = table->chains[chain].rest) {
        if (!found(arg, below ? PATTERN_BELOW : PATTERN_EXACT, key + below, len, table->chains[chain].list))
            return false;
    }
    return true;
}

void host_table_each(const struct host_table *table, bool (*found)(void *arg, enum pattern_kind kind, const char *name, size_t len, uint32_t list),
                     void *arg)
{
    bool more = true;
    for (size_t place = 0; more && place < table->text_used; place += host_table_entry_size(table, place))
        more = host_table_tell_entry(table, place, found, arg);
}

size_t host_table_count(const struct host_table *table)
{
    return table->count;
}
