/* Ed25519: the vectors of RFC 8032 7.1, and keys that are none. */
#include "base/ed25519.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"

/* TEST 2 of the RFC. */
static const char SEED[] = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
static const char PUBLIC[] = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
static const char SIGNATURE[] =
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

static size_t unhex(uint8_t *out, const char *hex)
{
    size_t size = 0;
    for (unsigned byte; sscanf(hex + 2 * size, "%2x", &byte) == 1; size++)
        out[size] = (uint8_t)byte;
    return size;
}

/* PEM is made here, so that no key stands in the tree: what RFC 8410 puts in front of the 32 bytes, and they. */
static void make_pem(char *out, size_t size, const char *kind, const char *front, const char *hex)
{
    uint8_t der[64];
    char text[BASE64_LEN(sizeof(der)) + 1] = "";
    size_t len = unhex(der, front);
    len += unhex(der + len, hex);
    base64_write(text, der, len);
    snprintf(out, size, "-----BEGIN %s-----\n%s\n-----END %s-----\n", kind, text, kind);
}

static struct ed25519_key *rfc_private(void)
{
    char pem[ED25519_PEM_MAX];
    make_pem(pem, sizeof(pem), "PRIVATE KEY", "302e020100300506032b657004220420", SEED);
    return ed25519_read_private(pem, strlen(pem));
}

static struct ed25519_key *rfc_public(void)
{
    char pem[ED25519_PEM_MAX];
    make_pem(pem, sizeof(pem), "PUBLIC KEY", "302a300506032b6570032100", PUBLIC);
    return ed25519_read_public(pem, strlen(pem));
}

Test(ed25519, signs_as_the_rfc_says)
{
    uint8_t expected[ED25519_SIGNATURE_SIZE], signature[ED25519_SIGNATURE_SIZE];
    struct ed25519_key *key = rfc_private();
    cr_assert(key);
    cr_assert_eq(unhex(expected, SIGNATURE), sizeof(expected));
    cr_assert(ed25519_sign(key, signature, "\x72", 1));
    cr_expect_arr_eq(signature, expected, sizeof(expected));
    ed25519_free(key);
}

Test(ed25519, verifies_that_and_nothing_else)
{
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    struct ed25519_key *key = rfc_public(), *other = ed25519_generate();
    cr_assert(key && other);
    unhex(signature, SIGNATURE);
    cr_expect(ed25519_verify(key, signature, "\x72", 1));
    cr_expect_not(ed25519_verify(other, signature, "\x72", 1));
    cr_expect_not(ed25519_verify(key, signature, "\x73", 1));
    cr_expect_not(ed25519_verify(key, signature, "\x72", 0));
    for (size_t bit = 0; bit < 8 * sizeof(signature); bit++) {
        signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_expect_not(ed25519_verify(key, signature, "\x72", 1), "bit %zu", bit);
        signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    ed25519_free(key);
    ed25519_free(other);
}

/* printf 3d40… | xxd -r -p | sha256sum */
Test(ed25519, a_key_has_the_same_name_from_both_halves)
{
    struct ed25519_key *private = rfc_private(), *public = rfc_public();
    cr_expect_str_eq(ed25519_id(private), "39f713d0a644253f");
    cr_expect_str_eq(ed25519_id(public), ed25519_id(private));
    ed25519_free(private);
    ed25519_free(public);
}

Test(ed25519, a_new_key_comes_back_out_of_its_pem)
{
    char private_pem[ED25519_PEM_MAX], public_pem[ED25519_PEM_MAX];
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    struct ed25519_key *key = ed25519_generate();
    cr_assert(ed25519_write_private(key, private_pem) && ed25519_write_public(key, public_pem));
    struct ed25519_key *private = ed25519_read_private(private_pem, strlen(private_pem));
    struct ed25519_key *public = ed25519_read_public(public_pem, strlen(public_pem));
    cr_assert(private && public);
    cr_assert(ed25519_sign(private, signature, "text", 4));
    cr_expect(ed25519_verify(public, signature, "text", 4));
    cr_expect_str_eq(ed25519_id(public), ed25519_id(key));
    cr_expect_null(ed25519_read_public(private_pem, strlen(private_pem)),
                   "the public half must be given, so that nobody hands the private one around");
    cr_expect_null(ed25519_read_private(public_pem, strlen(public_pem)));
    ed25519_free(key);
    ed25519_free(private);
    ed25519_free(public);
}

Test(ed25519, nothing_else_is_a_key)
{
    char pem[ED25519_PEM_MAX];
    cr_expect_null(ed25519_read_private("", 0));
    cr_expect_null(ed25519_read_private("no key\n", 7));
    make_pem(pem, sizeof(pem), "PRIVATE KEY", "302e020100300506032b656e04220420", SEED); /* X25519 */
    cr_expect_null(ed25519_read_private(pem, strlen(pem)));
    make_pem(pem, sizeof(pem), "PRIVATE KEY", "302e020100300506032b657004220420", "4ccd089b");
    cr_expect_null(ed25519_read_private(pem, strlen(pem)));
}
