/* SHA-256, of bytes at once or piece by piece. */
#ifndef EXEAT_BASE_SHA256_H
#define EXEAT_BASE_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32

/* False when OpenSSL fails, out of memory for one; then *out says nothing. */
bool sha256_of(uint8_t out[SHA256_SIZE], const void *bytes, size_t len);

/* For many hashes, one after the other: what they need is had once. */
struct sha256;

/* NULL: out of memory. */
struct sha256 *sha256_new(void);
void sha256_free(struct sha256 *hash);

/* Each hash: init, any number of add, final. A failure is remembered until final tells it. */
void sha256_init(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *bytes, size_t len);
bool sha256_final(struct sha256 *hash, uint8_t out[SHA256_SIZE]);

#endif
