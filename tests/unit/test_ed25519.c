/* Ed25519: the vectors of RFC 8032 7.1, and keys that are none. */
#include "base/ed25519.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "rfc_key.h"

static const char SIGNATURE[] =
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

Test(ed25519, signs_as_the_rfc_says)
{
    uint8_t expected[ED25519_SIGNATURE_SIZE], signature[ED25519_SIGNATURE_SIZE];
    struct ed25519_key *key = rfc_key_private();
    cr_assert(key);
    cr_assert_eq(rfc_key_unhex(expected, SIGNATURE), sizeof(expected));
    cr_assert(ed25519_sign(key, signature, "\x72", 1));
    cr_expect_arr_eq(signature, expected, sizeof(expected));
    ed25519_free(key);
}

Test(ed25519, verifies_that_and_nothing_else)
{
    uint8_t signature[ED25519_SIGNATURE_SIZE];
    struct ed25519_key *key = rfc_key_public(), *other = ed25519_generate();
    cr_assert(key && other);
    rfc_key_unhex(signature, SIGNATURE);
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
    struct ed25519_key *private = rfc_key_private(), *public = rfc_key_public();
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

/* As other programs write it: lines that end in CR LF or are short, text around it. */
Test(ed25519, the_form_of_a_private_pem_may_differ)
{
    char pem[ED25519_PEM_MAX], other[2 * ED25519_PEM_MAX];
    struct ed25519_key *key;
    rfc_key_private_pem(pem);
    char *second = strchr(pem, '\n') + 1, *third = strchr(second, '\n') + 1;
    const int begin = (int)(second - pem) - 1, middle = (int)(third - second) - 1;
    snprintf(other, sizeof(other), "%.*s\r\n%.*s\r\n%s", begin, pem, middle, second, third);
    cr_expect(key = ed25519_read_private(other, strlen(other)));
    ed25519_free(key);
    snprintf(other, sizeof(other), "%.*s\n%.*s\n%s", begin, pem, 20, second, second + 20);
    cr_expect(key = ed25519_read_private(other, strlen(other)));
    ed25519_free(key);
    snprintf(other, sizeof(other), "text\n%smore\n", pem);
    cr_expect(key = ed25519_read_private(other, strlen(other)));
    ed25519_free(key);
    for (size_t len = 0; len < strlen(pem) - 1; len++)
        cr_expect_null(ed25519_read_private(pem, len), "%zu characters of it", len);
}

Test(ed25519, nothing_else_is_a_key)
{
    char pem[ED25519_PEM_MAX];
    cr_expect_null(ed25519_read_private("", 0));
    cr_expect_null(ed25519_read_private("no key\n", 7));
    rfc_key_pem(pem, "PRIVATE KEY", "302e020100300506032b656e04220420", RFC_KEY_SEED); /* X25519 */
    cr_expect_null(ed25519_read_private(pem, strlen(pem)));
    rfc_key_pem(pem, "PRIVATE KEY", "302e020100300506032b657004220420", "4ccd089b");
    cr_expect_null(ed25519_read_private(pem, strlen(pem)));
}
