/* The Ed25519 key of RFC 8032 7.1, TEST 2. Its PEM is made here, so that no key stands in the tree. */
#ifndef EXEAT_TESTS_RFC_KEY_H
#define EXEAT_TESTS_RFC_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "base/ed25519.h"

#define RFC_KEY_SEED "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
#define RFC_KEY_PUBLIC "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
#define RFC_KEY_ID "39f713d0a644253f" /* printf 3d40… | xxd -r -p | sha256sum */

/* Fails the test when they cannot be read. */
struct ed25519_key *rfc_key_private(void);
struct ed25519_key *rfc_key_public(void);

/* PEM into `out`, of ED25519_PEM_MAX: of the private key, and of whatever a kind has in front of its bytes, both in hex. */
void rfc_key_private_pem(char *out);
void rfc_key_pem(char *out, const char *kind, const char *front, const char *hex);

size_t rfc_key_unhex(uint8_t *out, const char *hex);

#endif
