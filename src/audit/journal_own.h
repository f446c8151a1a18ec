/* The records that the journal process makes itself, about its file and about what became of others; and what they say, read back. */
#ifndef EXEAT_AUDIT_JOURNAL_OWN_H
#define EXEAT_AUDIT_JOURNAL_OWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/journal_head.h"
#include "audit/journal_ids.h"
#include "base/text.h"

/* Each writes a record's text: RECORD_TEXT_MAX characters and a NUL are room enough. */

/* `rotate`, the first record of a file: it continues what ends with `end`. */
void journal_own_rotate(struct text *out, const char *instance, const struct journal_head *end);
/* The inode that the detail of a `rotate` names; 0: none. */
uint64_t journal_own_continued(const char *detail, size_t len);

/* What a `recovered` says. */
struct journal_recovery {
    size_t cut;                           /* bytes of a torn record that were cut off */
    uint64_t missing_first, missing_last; /* seq of what FILE.head names and nobody finds; 0: nothing is missing */
    bool journal_died;                    /* … and the server did not */
    bool server_died;                     /* then the sessions are named that it left open */
    bool unknown;                         /* … and there may be more */
    unsigned beside;                      /* the mark of its generation, where others go on; 0: no server runs any more */
};

/* `recovered`. Takes out of `open` those that it names; while some are left, further records are to follow, by the same call. */
void journal_own_recovered(struct text *out, const char *instance, struct journal_recovery *recovery, struct journal_ids *open);
/* Whether the detail of a `recovered` names those whom a server left open, and whether it is the last that does. */
bool journal_own_names_any(const char *detail, size_t len);
bool journal_own_names_last(const char *detail, size_t len);
/* Adds every id that the detail names. */
void journal_own_each_named(const char *detail, size_t len, struct journal_ids *ids);

#endif
