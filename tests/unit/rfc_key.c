/* The Ed25519 key of RFC 8032 7.1, TEST 2. Its PEM is made here, so that no key stands in the tree. */
#include "rfc_key.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"

size_t rfc_key_unhex(uint8_t *out, const char *hex)
{
    size_t size = 0;
    for (unsigned byte; sscanf(hex + 2 * size, "%2x", &byte) == 1; size++)
        out[size] = (uint8_t)byte;
    return size;
}

void rfc_key_pem(char *out, const char *kind, const char *front, const char *hex)
{
    uint8_t der[64];
    char text[BASE64_LEN(sizeof(der)) + 1] = "";
    size_t len = rfc_key_unhex(der, front);
    len += rfc_key_unhex(der + len, hex);
    base64_write(text, der, len);
    snprintf(out, ED25519_PEM_MAX, "-----BEGIN %s-----\n%s\n-----END %s-----\n", kind, text, kind);
}

/* RFC 8410 says what stands in front of the 32 bytes. */
void rfc_key_private_pem(char *out)
{
    rfc_key_pem(out, "PRIVATE KEY", "302e020100300506032b657004220420", RFC_KEY_SEED);
}

struct ed25519_key *rfc_key_private(void)
{
    char pem[ED25519_PEM_MAX];
    rfc_key_private_pem(pem);
    struct ed25519_key *key = ed25519_read_private(pem, strlen(pem));
    cr_assert(key);
    return key;
}

struct ed25519_key *rfc_key_public(void)
{
    char pem[ED25519_PEM_MAX];
    rfc_key_pem(pem, "PUBLIC KEY", "302a300506032b6570032100", RFC_KEY_PUBLIC);
    struct ed25519_key *key = ed25519_read_public(pem, strlen(pem));
    cr_assert(key);
    return key;
}
