/* One number for what a configuration means: SHA-256 over its facts, in whatever order and however often they were said. */
#include "config/digest.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGEST_BYTES 32

/* Facts are kept as their hashes: a million host names need not be held twice, and hashes are quickly sorted. */
struct digest {
    EVP_MD *sha256;
    EVP_MD_CTX *hashing;
    uint8_t (*facts)[DIGEST_BYTES];
    size_t count, room;
    bool failed;
};

struct digest *digest_new(void)
{
    struct digest *digest = calloc(1, sizeof(*digest));
    if (digest == NULL)
        return NULL;
    digest->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    digest->hashing = EVP_MD_CTX_new();
    if (digest->sha256 == NULL || digest->hashing == NULL) {
        digest_free(digest);
        return NULL;
    }
    return digest;
}

void digest_free(struct digest *digest)
{
    if (digest == NULL)
        return;
    EVP_MD_free(digest->sha256);
    EVP_MD_CTX_free(digest->hashing);
    free(digest->facts);
    free(digest);
}

static bool digest_hash(struct digest *digest, const void *bytes, size_t len, uint8_t out[DIGEST_BYTES])
{
    return EVP_DigestInit_ex2(digest->hashing, digest->sha256, NULL) == 1 && EVP_DigestUpdate(digest->hashing, bytes, len) == 1 &&
           EVP_DigestFinal_ex(digest->hashing, out, NULL) == 1;
}

static bool digest_make_room(struct digest *digest)
{
    if (digest->count < digest->room)
        return true;
    size_t room = digest->room ? 2 * digest->room : 256;
    void *grown = room < SIZE_MAX / DIGEST_BYTES ? realloc(digest->facts, room * DIGEST_BYTES) : NULL;
    if (grown == NULL)
        return false;
    digest->facts = grown;
    digest->room = room;
    return true;
}

void digest_add(struct digest *digest, const char *fact, size_t len)
{
    if (digest_make_room(digest) && digest_hash(digest, fact, len, digest->facts[digest->count]))
        digest->count++;
    else
        digest->failed = true;
}

static int digest_compare(const void *a, const void *b)
{
    return memcmp(a, b, DIGEST_BYTES);
}

/* Sorted, and each fact once. */
static void digest_settle(struct digest *digest)
{
    size_t kept = 0;
    if (digest->count > 1)
        qsort(digest->facts, digest->count, DIGEST_BYTES, digest_compare);
    for (size_t i = 0; i < digest->count; i++) {
        if (kept == 0 || memcmp(digest->facts[kept - 1], digest->facts[i], DIGEST_BYTES) != 0)
            memmove(digest->facts[kept++], digest->facts[i], DIGEST_BYTES);
    }
    digest->count = kept;
}

bool digest_finish(struct digest *digest, char out[CONFIG_DIGEST_SIZE])
{
    uint8_t sum[DIGEST_BYTES];
    out[0] = '\0';
    digest_settle(digest);
    if (digest->failed || !digest_hash(digest, digest->facts ? digest->facts[0] : sum, digest->count * DIGEST_BYTES, sum))
        return false;
    int at = sprintf(out, "sha256:");
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        at += sprintf(out + at, "%02x", sum[i]);
    return true;
}
