/* SHA-256 by OpenSSL: the only place that knows its EVP. */
#include "base/sha256.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

/* OpenSSL looks a method up anew for each hash that is not given one, under locks. */
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256_method; /* for the process's life; NULL: there is none */

static void sha256_fetch(void)
{
    sha256_method = EVP_MD_fetch(NULL, "SHA256", NULL);
}

struct sha256 {
    EVP_MD_CTX *context;
    bool failed;
};

bool sha256_of(uint8_t out[SHA256_SIZE], const void *bytes, size_t len)
{
    pthread_once(&sha256_once, sha256_fetch);
    return sha256_method && EVP_Digest(bytes, len, out, NULL, sha256_method, NULL) == 1;
}

struct sha256 *sha256_new(void)
{
    struct sha256 *hash = calloc(1, sizeof(*hash));
    if (!hash)
        return NULL;
    pthread_once(&sha256_once, sha256_fetch);
    hash->context = EVP_MD_CTX_new();
    if (sha256_method && hash->context)
        return hash;
    sha256_free(hash);
    return NULL;
}

void sha256_free(struct sha256 *hash)
{
    if (!hash)
        return;
    EVP_MD_CTX_free(hash->context);
    free(hash);
}

void sha256_init(struct sha256 *hash)
{
    hash->failed = EVP_DigestInit_ex2(hash->context, sha256_method, NULL) != 1;
}

void sha256_add(struct sha256 *hash, const void *bytes, size_t len)
{
    if (!hash->failed)
        hash->failed = EVP_DigestUpdate(hash->context, bytes, len) != 1;
}

bool sha256_final(struct sha256 *hash, uint8_t out[SHA256_SIZE])
{
    return !hash->failed && EVP_DigestFinal_ex(hash->context, out, NULL) == 1;
}
