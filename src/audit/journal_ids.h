/* A set of session ids, for the journal's account of who is open. */
#ifndef EXEAT_AUDIT_JOURNAL_IDS_H
#define EXEAT_AUDIT_JOURNAL_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/journal_generations.h"
#include "base/ulid.h"

#define JOURNAL_IDS_MAX (512u << 10)

/* Zeroed, it is empty. */
struct journal_ids {
    struct ulid *slots; /* a zeroed one is free; NULL: none yet */
    size_t size, count;
    size_t popped; /* the slot that was popped last */
    uint64_t seed;
    uint64_t beyond; /* how many were not taken: for want of room, or because no id of ours looks so */
};

void journal_ids_clear(struct journal_ids *ids);

/* An id is SESSION_ID_LEN characters. */
void journal_ids_add(struct journal_ids *ids, const char *id);
bool journal_ids_has(const struct journal_ids *ids, const char *id);
/* True when it was there. */
bool journal_ids_remove(struct journal_ids *ids, const char *id);

/* Moves those with this mark, or all (0), over to another set. What was not taken is counted with the first that are moved: nobody knows whose it
 * was. */
void journal_ids_move(struct journal_ids *from, struct journal_ids *to, unsigned mark);

/* The mark of any one that is of none of these generations; 0: there is none. */
unsigned journal_ids_stranger(const struct journal_ids *ids, const struct journal_generations *known);

/* Takes any one out. False: it is empty. */
bool journal_ids_pop(struct journal_ids *ids, char id[ULID_TEXT_MAX]);

#endif
