/* A checkpoint: the record by which a key signs all that stands before it, made and read back. */
#ifndef EXEAT_AUDIT_CHECKPOINT_H
#define EXEAT_AUDIT_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ed25519.h"
#include "base/text.h"

/* Its detail is `signed by key KEYID: SIGNATURE`, the signature in base64. What is signed is the `chain` of the line before (CHAIN_LEN characters;
 * CHAIN_BEGINNING where there is none, for which NULL stands here), and the bytes of its own line up to `,"detail":`. */

#define CHECKPOINT_TEXT_MAX 1280 /* of its text: nothing in it is long but the `instance` */

/* Appends the record's text, for the line of this number behind one with this chain. False: there was no room, or OpenSSL failed; then nothing was
 * appended. */
bool checkpoint_write(struct text *out, uint64_t seq, const char *chain, uint64_t time_us, const char *instance, const struct ed25519_key *key);

struct checkpoint {
    char key_id[ED25519_ID_LEN + 1];
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    const char *bytes; /* of its line, what is signed behind the chain of the one before; points into the line */
    size_t len;
};

/* Whether a line is a checkpoint by its event, right or not. Here and below `bytes` are those of the line before `,"chain":`. */
bool checkpoint_is(const char *bytes, size_t len);

/* Reads one back. False: it is none, or its detail is not of that form. Whether the signature is right is not looked at. */
bool checkpoint_read(struct checkpoint *out, const char *bytes, size_t len);

/* Whether this key signed it, behind a line with this chain. */
bool checkpoint_verify(const struct checkpoint *checkpoint, const char *chain, const struct ed25519_key *key);

#endif
