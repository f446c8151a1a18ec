/* Which records stand at the end of the audit file already: so that what workers send again after the journal process died is not written twice. */
#include "audit/journal_tail.h"

#include <stdlib.h>

#include "audit/journal_gist.h"
#include "audit/journal_reverse.h"
#include "audit/record.h"
#include "base/hash.h"

#define LINES_MAX (JOURNAL_TAIL_SIZE / RECORD_TEXT_MIN + 1) /* no line of ours is shorter than the text in it */

struct journal_tail_slot {
    uint64_t hash;
    uint32_t count;
    bool used;
};

/* Room for `count` records. False: out of memory; it is left empty. */
static bool journal_tail_init(struct journal_tail *tail, size_t count)
{
    size_t size = 16;
    while (size < count * 2)
        size *= 2;
    *tail = (struct journal_tail){.slots = calloc(size, sizeof(struct journal_tail_slot)), .mask = size - 1, .seed = hash_seed()};
    return tail->slots != NULL;
}

void journal_tail_fini(struct journal_tail *tail)
{
    free(tail->slots);
    *tail = (struct journal_tail){0};
}

/* The slot that holds the hash, or the free one where it belongs: at least half of them are free. */
static struct journal_tail_slot *journal_tail_find(const struct journal_tail *tail, uint64_t hash)
{
    size_t at = hash & tail->mask;
    while (tail->slots[at].used && tail->slots[at].hash != hash)
        at = (at + 1) & tail->mask;
    return &tail->slots[at];
}

/* Not more often than init() made room for. */
static void journal_tail_add(struct journal_tail *tail, const char *text, size_t len)
{
    uint64_t hash = hash_bytes(text, len, tail->seed);
    struct journal_tail_slot *slot = journal_tail_find(tail, hash);
    slot->used = true;
    slot->hash = hash;
    slot->count++;
}

bool journal_tail_read(struct journal_tail *tail, const char *path, const struct journal_head *end)
{
    struct journal_reverse reverse;
    struct journal_line line;
    bool found_checkpoint = false;
    if (!journal_tail_init(tail, LINES_MAX))
        return false;
    if (end->seq == 0)
        return true;
    if (!journal_reverse_open(&reverse, path, end)) {
        tail->unsigned_count = UINT64_MAX;
        return true;
    }
    size_t lines = 0;
    for (size_t bytes = 0; bytes < JOURNAL_TAIL_SIZE && lines < LINES_MAX && journal_reverse_next(&reverse, &line); lines++) {
        bytes += line.len;
        journal_tail_add(tail, line.text, line.len);
        found_checkpoint = found_checkpoint || journal_gist_read(line.text, line.len).kind == GIST_CHECKPOINT;
        tail->unsigned_count += !found_checkpoint;
    }
    if (!found_checkpoint && reverse.seq > 0)
        tail->unsigned_count = UINT64_MAX;
    journal_reverse_close(&reverse);
    return true;
}

bool journal_tail_has(const struct journal_tail *tail, const char *text, size_t len)
{
    return tail->slots && journal_tail_find(tail, hash_bytes(text, len, tail->seed))->count > 0;
}

bool journal_tail_take(struct journal_tail *tail, const char *text, size_t len)
{
    if (!tail->slots)
        return false;
    struct journal_tail_slot *slot = journal_tail_find(tail, hash_bytes(text, len, tail->seed));
    if (slot->count == 0)
        return false;
    slot->count--;
    return true;
}
