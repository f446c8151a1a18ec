/* A checkpoint: the record by which a key signs all that stands before it, made and read back. */
#include "audit/checkpoint.h"

#include <string.h>

#include "audit/chain.h"
#include "audit/journal_line.h"
#include "audit/record.h"
#include "base/base64.h"

#define EVENT_KEY ",\"event\":\""
#define DETAIL_KEY ",\"detail\":"
#define NO_DETAIL DETAIL_KEY "null"
#define SIGNED_BY "signed by key "
#define SIGNATURE_LEN BASE64_LEN(ED25519_SIGNATURE_SIZE)
#define DETAIL_LEN (sizeof(SIGNED_BY) - 1 + ED25519_ID_LEN + 2 + SIGNATURE_LEN)
#define SIGNED_MAX (CHAIN_LEN + RECORD_MAX)

static void checkpoint_begin_signed(struct text *out, const char *chain)
{
    text_add_bytes(out, chain ? chain : CHAIN_BEGINNING, CHAIN_LEN);
}

/* ---- making it ---- */

/* What is signed: the line as it will be, but for its detail. */
static bool checkpoint_sign(uint8_t *signature, uint64_t seq, const char *chain, const struct record *record, const struct ed25519_key *key)
{
    char buffer[SIGNED_MAX];
    struct text bytes;
    text_init(&bytes, buffer, sizeof(buffer));
    checkpoint_begin_signed(&bytes, chain);
    journal_line_open(&bytes, seq);
    return record_write(&bytes, record) && ed25519_sign(key, signature, bytes.at, bytes.len - strlen(NO_DETAIL));
}

bool checkpoint_write(struct text *out, uint64_t seq, const char *chain, uint64_t time_us, const char *instance, const struct ed25519_key *key)
{
    struct record record = {.time_us = time_us, .instance = instance, .event = EVENT_CHECKPOINT};
    const struct text before = *out;
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    char encoded[SIGNATURE_LEN], buffer[DETAIL_LEN + 1];
    struct text detail;
    if (!checkpoint_sign(signature, seq, chain, &record, key))
        return false;
    base64_write(encoded, signature, sizeof(signature));
    text_init(&detail, buffer, sizeof(buffer));
    text_format(&detail, SIGNED_BY "%s: %.*s", ed25519_id(key), (int)sizeof(encoded), encoded);
    record.detail = (struct bytes){detail.at, detail.len};
    if (record_write(out, &record))
        return true;
    *out = before;
    out->at[out->len] = '\0';
    return false;
}

/* ---- reading it ---- */

bool checkpoint_is(const char *bytes, size_t len)
{
    static const char value[] = "checkpoint\"";
    const char *event = memmem(bytes, len, EVENT_KEY, strlen(EVENT_KEY)); /* in no string: in one every quote follows a backslash */
    const char *at = event ? event + strlen(EVENT_KEY) : NULL;
    return at && (size_t)(bytes + len - at) >= strlen(value) && memcmp(at, value, strlen(value)) == 0;
}

static bool checkpoint_expect(const char **at, const char *word)
{
    const bool there = memcmp(*at, word, strlen(word)) == 0;
    *at += strlen(word);
    return there;
}

static bool checkpoint_read_id(struct checkpoint *out, const char **at)
{
    text_copy(out->key_id, sizeof(out->key_id), *at, ED25519_ID_LEN);
    *at += ED25519_ID_LEN;
    return strspn(out->key_id, "0123456789abcdef") == ED25519_ID_LEN;
}

static bool checkpoint_read_signature(struct checkpoint *out, const char **at)
{
    const char *signature = *at;
    *at += SIGNATURE_LEN;
    return base64_read(out->signature, sizeof(out->signature), signature, SIGNATURE_LEN);
}

/* The detail is the last key, and always of the same length. */
bool checkpoint_read(struct checkpoint *out, const char *bytes, size_t len)
{
    const size_t tail = strlen(DETAIL_KEY) + DETAIL_LEN + 2;
    if (len < tail || len > RECORD_MAX || !checkpoint_is(bytes, len))
        return false;
    const char *at = bytes + len - tail;
    *out = (struct checkpoint){.bytes = bytes, .len = len - tail};
    return checkpoint_expect(&at, DETAIL_KEY "\"" SIGNED_BY) && checkpoint_read_id(out, &at) && checkpoint_expect(&at, ": ") &&
           checkpoint_read_signature(out, &at) && checkpoint_expect(&at, "\"");
}

bool checkpoint_verify(const struct checkpoint *checkpoint, const char *chain, const struct ed25519_key *key)
{
    char buffer[SIGNED_MAX + 1];
    struct text bytes;
    if (strcmp(checkpoint->key_id, ed25519_id(key)) != 0)
        return false;
    text_init(&bytes, buffer, sizeof(buffer));
    checkpoint_begin_signed(&bytes, chain);
    text_add_bytes(&bytes, checkpoint->bytes, checkpoint->len);
    return !bytes.cut && ed25519_verify(key, checkpoint->signature, bytes.at, bytes.len);
}
