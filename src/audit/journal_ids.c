/* A set of session ids, for the journal's account of who is open. */
#include "audit/journal_ids.h"

#include <assert.h>
#include <stdlib.h>

#include "audit/journal_gist.h"
#include "base/hash.h"

#define SIZE_MIN 64 /* slots; a power of two, and a quarter of them are free */

static_assert(SESSION_ID_LEN == ULID_LEN, "a session's id is a ULID");

void journal_ids_clear(struct journal_ids *ids)
{
    free(ids->slots);
    *ids = (struct journal_ids){0};
}

static size_t journal_ids_home(const struct journal_ids *ids, const struct ulid *id)
{
    return hash_bytes(id, sizeof(*id), ids->seed) & (ids->size - 1);
}

static bool journal_ids_is_free(const struct journal_ids *ids, size_t slot)
{
    return ids->slots[slot].high == 0 && ids->slots[slot].low == 0;
}

static bool journal_ids_is_at(const struct journal_ids *ids, size_t slot, const struct ulid *id)
{
    return ids->slots[slot].low == id->low && ids->slots[slot].high == id->high;
}

/* The slot that holds it, or the free one where it belongs. */
static size_t journal_ids_find(const struct journal_ids *ids, const struct ulid *id)
{
    size_t slot = journal_ids_home(ids, id);
    while (!journal_ids_is_free(ids, slot) && !journal_ids_is_at(ids, slot, id))
        slot = (slot + 1) & (ids->size - 1);
    return slot;
}

/* False: it stays as it is. */
static bool journal_ids_resize(struct journal_ids *ids, size_t size)
{
    struct journal_ids resized = {.size = size, .count = ids->count, .seed = ids->seed, .beyond = ids->beyond};
    resized.slots = calloc(size, sizeof(*resized.slots));
    if (!resized.slots)
        return false;
    if (!ids->slots)
        resized.seed = hash_seed();
    for (size_t i = 0; i < ids->size; i++) {
        if (!journal_ids_is_free(ids, i))
            resized.slots[journal_ids_find(&resized, &ids->slots[i])] = ids->slots[i];
    }
    free(ids->slots);
    *ids = resized;
    return true;
}

static bool journal_ids_make_room(struct journal_ids *ids)
{
    if (ids->count >= JOURNAL_IDS_MAX)
        return false;
    return ids->count < ids->size / 4 * 3 || journal_ids_resize(ids, ids->size ? ids->size * 2 : SIZE_MIN);
}

static void journal_ids_put(struct journal_ids *ids, const struct ulid *id)
{
    if (!journal_ids_make_room(ids)) {
        ids->beyond++;
        return;
    }
    size_t slot = journal_ids_find(ids, id);
    ids->count += journal_ids_is_free(ids, slot);
    ids->slots[slot] = *id;
}

void journal_ids_add(struct journal_ids *ids, const char *text)
{
    struct ulid id;
    if (ulid_read(&id, text))
        journal_ids_put(ids, &id);
    else
        ids->beyond++;
}

/* The slot that holds it; `size`: none does. */
static size_t journal_ids_seek(const struct journal_ids *ids, const char *text)
{
    struct ulid id;
    if (ids->size == 0 || !ulid_read(&id, text))
        return ids->size;
    size_t slot = journal_ids_find(ids, &id);
    return journal_ids_is_free(ids, slot) ? ids->size : slot;
}

bool journal_ids_has(const struct journal_ids *ids, const char *id)
{
    return journal_ids_seek(ids, id) < ids->size;
}

/* Those behind that could not stand in their own place move up, so that no search ends too early. */
static void journal_ids_close_gap(struct journal_ids *ids, size_t slot)
{
    const size_t mask = ids->size - 1;
    for (size_t next = (slot + 1) & mask; !journal_ids_is_free(ids, next); next = (next + 1) & mask) {
        size_t home = journal_ids_home(ids, &ids->slots[next]);
        if (((next - home) & mask) < ((next - slot) & mask))
            continue;
        ids->slots[slot] = ids->slots[next];
        slot = next;
    }
    ids->slots[slot] = (struct ulid){0};
}

/* What a rush has left empty is given back. */
static void journal_ids_free_slot(struct journal_ids *ids, size_t slot)
{
    journal_ids_close_gap(ids, slot);
    ids->count--;
    if (ids->size > SIZE_MIN && ids->count < ids->size / 8)
        (void)journal_ids_resize(ids, ids->size / 2);
}

bool journal_ids_remove(struct journal_ids *ids, const char *id)
{
    size_t slot = journal_ids_seek(ids, id);
    if (slot == ids->size)
        return false;
    journal_ids_free_slot(ids, slot);
    return true;
}

void journal_ids_move(struct journal_ids *from, struct journal_ids *to, unsigned mark)
{
    struct journal_ids rest = {0};
    for (size_t slot = 0; slot < from->size; slot++) {
        const struct ulid *id = &from->slots[slot];
        if (!journal_ids_is_free(from, slot))
            journal_ids_put(mark == 0 || ulid_mark(id) == mark ? to : &rest, id);
    }
    to->beyond += from->beyond;
    journal_ids_clear(from);
    *from = rest;
}

unsigned journal_ids_stranger(const struct journal_ids *ids, const struct journal_generations *known)
{
    for (size_t slot = 0; slot < ids->size; slot++) {
        const unsigned mark = ulid_mark(&ids->slots[slot]); /* of a free one: 0 */
        if (mark > 0 && !journal_generations_has(known, mark))
            return mark;
    }
    return 0;
}

/* Goes on where the last one was found: what lies between has been emptied already. */
bool journal_ids_pop(struct journal_ids *ids, char id[ULID_TEXT_MAX])
{
    if (ids->count == 0)
        return false;
    while (journal_ids_is_free(ids, ids->popped))
        ids->popped = (ids->popped + 1) & (ids->size - 1);
    ulid_text(id, &ids->slots[ids->popped]);
    journal_ids_free_slot(ids, ids->popped);
    return true;
}
