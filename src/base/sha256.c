/* SHA-256 by OpenSSL: the only place that knows its EVP. */
#include "base/sha256.h"

#include <openssl/evp.h>
#include <stdlib.h>

struct sha256 {
    EVP_MD *method;
    EVP_MD_CTX *context;
    bool failed;
};

bool sha256_of(uint8_t out[SHA256_SIZE], const void *bytes, size_t len)
{
    return EVP_Digest(bytes, len, out, NULL, EVP_sha256(), NULL) == 1;
}

struct sha256 *sha256_new(void)
{
    struct sha256 *hash = calloc(1, sizeof(*hash));
    if (!hash)
        return NULL;
    hash->method = EVP_MD_fetch(NULL, "SHA256", NULL);
    hash->context = EVP_MD_CTX_new();
    if (hash->method && hash->context)
        return hash;
    sha256_free(hash);
    return NULL;
}

void sha256_free(struct sha256 *hash)
{
    if (!hash)
        return;
    EVP_MD_free(hash->method);
    EVP_MD_CTX_free(hash->context);
    free(hash);
}

void sha256_init(struct sha256 *hash)
{
    hash->failed = EVP_DigestInit_ex2(hash->context, hash->method, NULL) != 1;
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
