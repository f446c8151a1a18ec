/* Ed25519 (RFC 8032): keys in PEM, signatures. */
#include "base/ed25519.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/sha256.h"
#include "base/text.h"

#define PUBLIC_SIZE 32
#define PRIVATE_SIZE 32

struct ed25519_key {
    EVP_PKEY *pair;
    char id[ED25519_ID_LEN + 1];
};

/* ---- keys ---- */

static bool ed25519_name(struct ed25519_key *key)
{
    struct text id;
    uint8_t raw[PUBLIC_SIZE], hash[SHA256_SIZE];
    size_t len = sizeof(raw);
    if (EVP_PKEY_get_raw_public_key(key->pair, raw, &len) != 1 || len != sizeof(raw) || !sha256_of(hash, raw, sizeof(raw)))
        return false;
    text_init(&id, key->id, sizeof(key->id));
    text_add_hex(&id, hash, ED25519_ID_LEN / 2);
    return true;
}

/* Takes the pair, which may be NULL or of another kind. */
static struct ed25519_key *ed25519_new(EVP_PKEY *pair)
{
    struct ed25519_key *key = pair && EVP_PKEY_is_a(pair, "ED25519") ? calloc(1, sizeof(*key)) : NULL;
    if (!key) {
        EVP_PKEY_free(pair);
        return NULL;
    }
    key->pair = pair;
    if (ed25519_name(key))
        return key;
    ed25519_free(key);
    return NULL;
}

void ed25519_free(struct ed25519_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pair);
    free(key);
}

/* OpenSSL would ask at the terminal. */
static int ed25519_no_password(char *buffer, int size, int writes, void *arg)
{
    (void)buffer, (void)size, (void)writes, (void)arg;
    return -1;
}

/* Where a PEM block of this kind begins, behind its first line; NULL: there is none. */
static const char *ed25519_find_block(const char *pem, size_t len, const char *first)
{
    const char *at = memmem(pem, len, first, strlen(first));
    return at && (at == pem || at[-1] == '\n') ? at + strlen(first) : NULL;
}

/* As keys are written (RFC 8410 7, no attributes), by hand: OpenSSL's reader frees buffers that hold the key without wiping them. NULL: it may be of
 * another form. */
static EVP_PKEY *ed25519_read_usual(const char *pem, size_t len)
{
    static const char last[] = "\n-----END PRIVATE KEY-----";
    static const uint8_t front[] = {0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20};
    uint8_t der[sizeof(front) + PRIVATE_SIZE];
    const size_t text_len = BASE64_LEN(sizeof(der));
    const char *text = ed25519_find_block(pem, len, "-----BEGIN PRIVATE KEY-----\n");
    if (!text || (size_t)(pem + len - text) < text_len + strlen(last) || memcmp(text + text_len, last, strlen(last)) != 0)
        return NULL;
    EVP_PKEY *pair = NULL;
    if (base64_read(der, sizeof(der), text, text_len) && memcmp(der, front, sizeof(front)) == 0)
        pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, der + sizeof(front), PRIVATE_SIZE);
    explicit_bzero(der, sizeof(der));
    return pair;
}

static EVP_PKEY *ed25519_read_any(const char *pem, size_t len)
{
    BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    EVP_PKEY *pair = bio ? PEM_read_bio_PrivateKey(bio, NULL, ed25519_no_password, NULL) : NULL;
    BIO_free(bio);
    return pair;
}

struct ed25519_key *ed25519_read_private(const char *pem, size_t len)
{
    EVP_PKEY *pair = ed25519_read_usual(pem, len);
    return ed25519_new(pair ? pair : ed25519_read_any(pem, len));
}

struct ed25519_key *ed25519_read_public(const char *pem, size_t len)
{
    BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    EVP_PKEY *pair = bio ? PEM_read_bio_PUBKEY(bio, NULL, ed25519_no_password, NULL) : NULL;
    BIO_free(bio);
    return ed25519_new(pair);
}

struct ed25519_key *ed25519_generate(void)
{
    return ed25519_new(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
}

const char *ed25519_id(const struct ed25519_key *key)
{
    return key->id;
}

/* ---- PEM out ---- */

/* A secure memory BIO wipes what it held. */
static bool ed25519_write(const struct ed25519_key *key, char *out, int (*write)(BIO *bio, const EVP_PKEY *pair))
{
    BIO *bio = BIO_new(BIO_s_secmem());
    bool good = bio && write(bio, key->pair) == 1;
    const int len = good ? BIO_read(bio, out, ED25519_PEM_MAX - 1) : 0;
    good = good && len > 0 && BIO_pending(bio) == 0;
    out[good ? len : 0] = '\0';
    BIO_free(bio);
    return good;
}

static int ed25519_put_private(BIO *bio, const EVP_PKEY *pair)
{
    return PEM_write_bio_PKCS8PrivateKey(bio, pair, NULL, NULL, 0, NULL, NULL);
}

bool ed25519_write_private(const struct ed25519_key *key, char *out)
{
    return ed25519_write(key, out, ed25519_put_private);
}

bool ed25519_write_public(const struct ed25519_key *key, char *out)
{
    return ed25519_write(key, out, PEM_write_bio_PUBKEY);
}

/* ---- signatures ---- */

bool ed25519_sign(const struct ed25519_key *key, uint8_t signature[ED25519_SIGNATURE_SIZE], const void *bytes, size_t len)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t size = ED25519_SIGNATURE_SIZE;
    bool good = context && EVP_DigestSignInit(context, NULL, NULL, NULL, key->pair) == 1 &&
                EVP_DigestSign(context, signature, &size, bytes, len) == 1 && size == ED25519_SIGNATURE_SIZE;
    EVP_MD_CTX_free(context);
    return good;
}

bool ed25519_verify(const struct ed25519_key *key, const uint8_t signature[ED25519_SIGNATURE_SIZE], const void *bytes, size_t len)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key->pair) == 1 &&
                EVP_DigestVerify(context, signature, ED25519_SIGNATURE_SIZE, bytes, len) == 1;
    EVP_MD_CTX_free(context);
    return good;
}
