/* A set of session ids, for the journal's account of who is open. */
#include "audit/journal_ids.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define SIZE_MIN 64 /* slots; a power of two, and at least half of them are free */

void journal_ids_clear(struct journal_ids *ids)
{
    free(ids->slots);
    *ids = (struct journal_ids){0};
}

static size_t journal_ids_home(const struct journal_ids *ids, const char *id)
{
    return hash_bytes(id, SESSION_ID_LEN, ids->seed) & (ids->size - 1);
}

static bool journal_ids_is_free(const struct journal_ids *ids, size_t slot)
{
    return ids->slots[slot][0] == '\0';
}

/* The slot that holds it, or the free one where it belongs. */
static size_t journal_ids_find(const struct journal_ids *ids, const char *id)
{
    size_t slot = journal_ids_home(ids, id);
    while (!journal_ids_is_free(ids, slot) && memcmp(ids->slots[slot], id, SESSION_ID_LEN) != 0)
        slot = (slot + 1) & (ids->size - 1);
    return slot;
}

static bool journal_ids_grow(struct journal_ids *ids)
{
    struct journal_ids grown = {.size = ids->size ? ids->size * 2 : SIZE_MIN, .count = ids->count, .seed = ids->seed, .beyond = ids->beyond};
    if (ids->count >= JOURNAL_IDS_MAX || !(grown.slots = calloc(grown.size, sizeof(*grown.slots))))
        return false;
    if (!ids->slots)
        grown.seed = hash_seed();
    for (size_t i = 0; i < ids->size; i++) {
        if (!journal_ids_is_free(ids, i))
            memcpy(grown.slots[journal_ids_find(&grown, ids->slots[i])], ids->slots[i], SESSION_ID_LEN);
    }
    free(ids->slots);
    *ids = grown;
    return true;
}

void journal_ids_add(struct journal_ids *ids, const char *id)
{
    if (ids->count * 2 >= ids->size && !journal_ids_grow(ids)) {
        ids->beyond++;
        return;
    }
    size_t slot = journal_ids_find(ids, id);
    ids->count += journal_ids_is_free(ids, slot);
    memcpy(ids->slots[slot], id, SESSION_ID_LEN);
}

bool journal_ids_has(const struct journal_ids *ids, const char *id)
{
    return ids->size > 0 && !journal_ids_is_free(ids, journal_ids_find(ids, id));
}

/* Those behind that could not stand in their own place move up, so that no search ends too early. */
static void journal_ids_free_slot(struct journal_ids *ids, size_t slot)
{
    const size_t mask = ids->size - 1;
    for (size_t next = (slot + 1) & mask; !journal_ids_is_free(ids, next); next = (next + 1) & mask) {
        size_t home = journal_ids_home(ids, ids->slots[next]);
        if (((next - home) & mask) < ((next - slot) & mask))
            continue;
        memcpy(ids->slots[slot], ids->slots[next], SESSION_ID_LEN);
        slot = next;
    }
    ids->slots[slot][0] = '\0';
    ids->count--;
}

bool journal_ids_remove(struct journal_ids *ids, const char *id)
{
    if (!journal_ids_has(ids, id))
        return false;
    journal_ids_free_slot(ids, journal_ids_find(ids, id));
    return true;
}

bool journal_ids_pop(struct journal_ids *ids, char id[SESSION_ID_LEN])
{
    if (ids->count == 0)
        return false;
    size_t slot = ids->size - 1;
    while (journal_ids_is_free(ids, slot))
        slot--;
    memcpy(id, ids->slots[slot], SESSION_ID_LEN);
    journal_ids_free_slot(ids, slot);
    return true;
}
