/* What the checkpoints among the records prove: by whom, when, and up to where they are signed. */
#ifndef EXEAT_AUDIT_AUDIT_SIGNATURE_H
#define EXEAT_AUDIT_AUDIT_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/audit_diagnosis.h"
#include "audit/audit_trail.h"
#include "base/clock.h"
#include "base/ed25519.h"

/* Whose signatures count. */
struct audit_keyring {
    struct ed25519_key **keys;
    size_t count; /* 0: of nobody, and checkpoints are not held against anything */
};

/* Zeroed: nothing was read. */
struct audit_signature {
    uint64_t seq;                    /* of the last checkpoint, which signs all before it; 0: there is none */
    char time[CLOCK_TEXT_MAX];       /* when it was made */
    char key_id[ED25519_ID_LEN + 1]; /* by whom; without a keyring: as it says itself */
    char since[CLOCK_TEXT_MAX];      /* when the record behind it was made; "": there is none, or it does not say */
};

/* A record whose number and chain are those that must come behind `before`, the last one; NULL: there is none. False: it is a checkpoint that proves
 * nothing, and `finding` says why. Without a keyring that is never so. */
bool audit_signature_add(struct audit_signature *signature, const struct audit_keyring *keyring, const struct audit_witness *witness,
                         const struct audit_link *before, struct audit_finding *finding);

#endif
