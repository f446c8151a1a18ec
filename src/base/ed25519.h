/* Ed25519 (RFC 8032): keys in PEM, signatures. */
#ifndef EXEAT_BASE_ED25519_H
#define EXEAT_BASE_ED25519_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ED25519_SIGNATURE_SIZE 64
#define ED25519_ID_LEN 16   /* hex digits by which a key is named: the first 8 bytes of the SHA-256 of the public key's 32 */
#define ED25519_PEM_MAX 512 /* characters of either key's PEM as written here, a NUL included */

/* A private key with its public half, or that half alone. */
struct ed25519_key;

/* Out of the first PEM block of that kind: PKCS#8 "PRIVATE KEY" (RFC 8410 7), or "PUBLIC KEY". NULL: there is none, it is of another kind or
 * encrypted, or there is no memory. */
struct ed25519_key *ed25519_read_private(const char *pem, size_t len);
struct ed25519_key *ed25519_read_public(const char *pem, size_t len);

/* A new private key. NULL: no memory or no randomness. */
struct ed25519_key *ed25519_generate(void);
void ed25519_free(struct ed25519_key *key);

/* ED25519_ID_LEN lower-case hex digits and a NUL. */
const char *ed25519_id(const struct ed25519_key *key);

/* PEM into `out`, of ED25519_PEM_MAX. False: OpenSSL failed. The private one is the caller's to wipe. */
bool ed25519_write_private(const struct ed25519_key *key, char *out);
bool ed25519_write_public(const struct ed25519_key *key, char *out);

/* By a private key. False: OpenSSL failed. */
bool ed25519_sign(const struct ed25519_key *key, uint8_t signature[ED25519_SIGNATURE_SIZE], const void *bytes, size_t len);

/* Whether the signature is this key's over exactly these bytes; also false when OpenSSL fails. */
bool ed25519_verify(const struct ed25519_key *key, const uint8_t signature[ED25519_SIGNATURE_SIZE], const void *bytes, size_t len);

#endif
