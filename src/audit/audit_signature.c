/* What the checkpoints among the records prove: by whom, when, and up to where they are signed. */
#include "audit/audit_signature.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "audit/audit_record.h"
#include "audit/checkpoint.h"

static const struct ed25519_key *audit_keyring_find(const struct audit_keyring *keyring, const char *id)
{
    for (size_t i = 0; i < keyring->count; i++)
        if (strcmp(ed25519_id(keyring->keys[i]), id) == 0)
            return keyring->keys[i];
    return NULL;
}

/* False: it is not made as records are. */
static bool audit_signature_copy_time(char out[CLOCK_TEXT_MAX], const struct audit_witness *witness)
{
    struct audit_record record;
    if (!audit_record_read(&record, witness->line, witness->len))
        return false;
    const struct audit_value *time = &record.values[AUDIT_KEY_TIME];
    return text_copy(out, CLOCK_TEXT_MAX, time->at, time->len);
}

/* Whoever changed what stands before can also make the chain right again, up to the first checkpoint and no further. */
static void audit_signature_blame(const struct audit_signature *signature, const struct audit_witness *witness, const char *key_id,
                                  struct audit_finding *out)
{
    char where[40] = "up to here";
    if (signature->seq > 0)
        snprintf(where, sizeof(where), "behind seq %" PRIu64, signature->seq);
    audit_finding_set(out, AUDIT_CHANGED, &witness->at, witness->read.seq,
                      "its signature is not that of key %s: something %s was written without that key, and the chain made to fit", key_id, where);
}

/* `checkpoint` is NULL when it could not be read. */
static bool audit_signature_check(const struct audit_signature *signature, const struct audit_keyring *keyring, const struct audit_witness *witness,
                                  const struct checkpoint *checkpoint, const struct audit_link *before, struct audit_finding *finding)
{
    const struct ed25519_key *key = checkpoint != NULL ? audit_keyring_find(keyring, checkpoint->key_id) : NULL;
    const char *chain = before != NULL && before->has_chain ? before->chain : NULL;
    if (checkpoint == NULL)
        audit_finding_set(finding, AUDIT_CHANGED, &witness->at, witness->read.seq, "it is a checkpoint and no journal has signed it like this");
    else if (key == NULL)
        audit_finding_set(finding, AUDIT_FOREIGN, &witness->at, witness->read.seq, "it is signed by key %s, which was not given", checkpoint->key_id);
    else if (!checkpoint_verify(checkpoint, chain, key))
        audit_signature_blame(signature, witness, checkpoint->key_id, finding);
    else
        return true;
    return false;
}

static bool audit_signature_add_checkpoint(struct audit_signature *signature, const struct audit_keyring *keyring,
                                           const struct audit_witness *witness, const struct audit_link *before, struct audit_finding *finding)
{
    struct audit_signature next = {.seq = witness->read.seq};
    struct checkpoint checkpoint;
    const bool is_read = witness->read.chain != NULL && checkpoint_read(&checkpoint, witness->read.at, witness->read.hashed) &&
                         audit_signature_copy_time(next.time, witness);
    if (keyring->count > 0 && !audit_signature_check(signature, keyring, witness, is_read ? &checkpoint : NULL, before, finding))
        return false;
    if (!is_read)
        return true;
    memcpy(next.key_id, checkpoint.key_id, sizeof(next.key_id));
    *signature = next;
    return true;
}

bool audit_signature_add(struct audit_signature *signature, const struct audit_keyring *keyring, const struct audit_witness *witness,
                         const struct audit_link *before, struct audit_finding *finding)
{
    const bool is_anchored = before != NULL || witness->read.seq == 1; /* else what it signs is not here */
    if (is_anchored && checkpoint_is(witness->read.at, witness->read.hashed))
        return audit_signature_add_checkpoint(signature, keyring, witness, before, finding);
    if (before == NULL || before->seq == signature->seq)
        audit_signature_copy_time(signature->since, witness);
    return true;
}
