/* Which records stand at the end of the audit file already: so that what workers send again after the journal process died is not written twice. */
#ifndef EXEAT_AUDIT_JOURNAL_TAIL_H
#define EXEAT_AUDIT_JOURNAL_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/journal_head.h"

#define JOURNAL_TAIL_SIZE (2u << 20) /* how much of what was written last is read; a batch is always smaller */

struct journal_tail {
    struct journal_tail_slot *slots; /* NULL: empty */
    size_t mask;
    uint64_t seed;
    uint64_t unsigned_count; /* of what was read, the records behind the last checkpoint; UINT64_MAX: there may be more */
};

/* Adds the last records of what ends with `end`, in the file of this path and those that it continues. False: out of memory. */
bool journal_tail_read(struct journal_tail *tail, const char *path, const struct journal_head *end);

void journal_tail_fini(struct journal_tail *tail);

/* Of a record's text only a hash is kept. */
bool journal_tail_has(const struct journal_tail *tail, const char *text, size_t len);

/* True when it was there: once for each time it was added. */
bool journal_tail_take(struct journal_tail *tail, const char *text, size_t len);

#endif
