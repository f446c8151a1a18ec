/* When the journal signs: how much of it no checkpoint stands behind yet, and for how long. */
#ifndef EXEAT_AUDIT_JOURNAL_SIGNER_H
#define EXEAT_AUDIT_JOURNAL_SIGNER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ed25519.h"

struct journal_signer {
    const struct ed25519_key *key; /* NULL: it never signs */
    const char *instance;          /* of its checkpoints */
    uint64_t records, time_ms;     /* so many may be unsigned, and so long */
    uint64_t count;                /* records on file that are */
    uint64_t since_ms;             /* when the oldest of them was written, or signing failed */
    bool fails;                    /* OpenSSL does not sign */
};

/* Such records are on file: as they were found there, or as a batch left them, with a checkpoint somewhere in it or without. Says when signing begins
 * to fail, and when it works again. */
void journal_signer_begin(struct journal_signer *signer, uint64_t unsigned_count);
void journal_signer_commit(struct journal_signer *signer, uint64_t unsigned_count, bool signed_some, bool failed);

/* Whether a checkpoint must come before the next record. */
bool journal_signer_is_full(const struct journal_signer *signer, uint64_t unsigned_count);

/* When a checkpoint must come even if no record does, on the monotonic clock; UINT64_MAX: never. */
uint64_t journal_signer_due_ms(const struct journal_signer *signer);
bool journal_signer_is_due(const struct journal_signer *signer);

#endif
