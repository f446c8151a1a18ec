/* One number for what a configuration means: SHA-256 over its facts, in whatever order and however often they were said. */
#include "config/digest.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"

#define DIGEST_FEW 32 /* facts that are sorted one by one */

/* Facts are kept as their hashes: a million host names need not be held twice, and hashes are quickly sorted. */
struct digest {
    struct sha256 *hash;
    uint8_t (*facts)[SHA256_SIZE];
    size_t count, room;
    bool failed;
};

struct digest *digest_new(void)
{
    struct digest *digest = calloc(1, sizeof(*digest));
    if (digest == NULL)
        return NULL;
    digest->hash = sha256_new();
    if (digest->hash != NULL)
        return digest;
    digest_free(digest);
    return NULL;
}

void digest_free(struct digest *digest)
{
    if (digest == NULL)
        return;
    sha256_free(digest->hash);
    free(digest->facts);
    free(digest);
}

static bool digest_hash(struct digest *digest, const void *bytes, size_t len, uint8_t out[SHA256_SIZE])
{
    sha256_init(digest->hash);
    sha256_add(digest->hash, bytes, len);
    return sha256_final(digest->hash, out);
}

static bool digest_make_room(struct digest *digest)
{
    if (digest->count < digest->room)
        return true;
    size_t room = digest->room ? 2 * digest->room : 256;
    void *grown = room < SIZE_MAX / SHA256_SIZE ? realloc(digest->facts, room * SHA256_SIZE) : NULL;
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

static void digest_swap(uint8_t a[SHA256_SIZE], uint8_t b[SHA256_SIZE])
{
    uint8_t held[SHA256_SIZE];
    memcpy(held, a, SHA256_SIZE);
    memmove(a, b, SHA256_SIZE); /* they may be one */
    memcpy(b, held, SHA256_SIZE);
}

static void digest_sort_few(uint8_t (*facts)[SHA256_SIZE], size_t count)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t j = i; j > 0 && memcmp(facts[j - 1], facts[j], SHA256_SIZE) > 0; j--)
            digest_swap(facts[j - 1], facts[j]);
    }
}

/* Hashes fall evenly: by one byte after the other they are sorted in hardly more than two rounds, in place (American flag sort). They are equal up to
 * byte number `at`. */
static void digest_sort(uint8_t (*facts)[SHA256_SIZE], size_t count, size_t at)
{
    size_t ends[UINT8_MAX + 1] = {0}, next[UINT8_MAX + 1];
    if (count < DIGEST_FEW || at == SHA256_SIZE) {
        digest_sort_few(facts, at == SHA256_SIZE ? 0 : count);
        return;
    }
    for (size_t i = 0; i < count; i++)
        ends[facts[i][at]]++;
    for (size_t byte = 0, total = 0; byte <= UINT8_MAX; byte++) {
        next[byte] = total;
        ends[byte] = total += ends[byte];
    }
    for (size_t byte = 0; byte <= UINT8_MAX; byte++) {
        while (next[byte] < ends[byte]) {
            uint8_t *fact = facts[next[byte]];
            digest_swap(fact, facts[next[fact[at]]++]); /* where it belongs; when that is here, it is one more of these */
        }
    }
    for (size_t byte = 0, start = 0; byte <= UINT8_MAX; start = ends[byte++])
        digest_sort(facts + start, ends[byte] - start, at + 1);
}

/* Sorted, and each fact once. */
static void digest_settle(struct digest *digest)
{
    size_t kept = 0;
    if (digest->count > 1)
        digest_sort(digest->facts, digest->count, 0);
    for (size_t i = 0; i < digest->count; i++) {
        if (kept == 0 || memcmp(digest->facts[kept - 1], digest->facts[i], SHA256_SIZE) != 0)
            memmove(digest->facts[kept++], digest->facts[i], SHA256_SIZE);
    }
    digest->count = kept;
}

bool digest_finish(struct digest *digest, char out[CONFIG_DIGEST_SIZE])
{
    uint8_t sum[SHA256_SIZE];
    out[0] = '\0';
    digest_settle(digest);
    if (digest->failed || !digest_hash(digest, digest->facts ? digest->facts[0] : sum, digest->count * SHA256_SIZE, sum))
        return false;
    int at = sprintf(out, "sha256:");
    for (size_t i = 0; i < SHA256_SIZE; i++)
        at += sprintf(out + at, "%02x", sum[i]);
    return true;
}
