/* The chain over the lines of an audit file: each carries the hash of all before it. */
#include "audit/chain.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"

struct chain {
    struct sha256 *hash;
    char text[CHAIN_LEN + 1];
};

struct chain *chain_new(void)
{
    struct chain *chain = calloc(1, sizeof(*chain));
    if (chain == NULL)
        return NULL;
    chain->hash = sha256_new();
    if (chain->hash == NULL) {
        free(chain);
        return NULL;
    }
    chain_set(chain, NULL);
    return chain;
}

void chain_free(struct chain *chain)
{
    if (chain == NULL)
        return;
    sha256_free(chain->hash);
    free(chain);
}

void chain_set(struct chain *chain, const char *text)
{
    if (text != NULL)
        memcpy(chain->text, text, CHAIN_LEN);
    else
        memset(chain->text, 'A', CHAIN_LEN);
}

const char *chain_text(const struct chain *chain)
{
    return chain->text;
}

/* 32 bytes are ten groups of three and one of two. */
static void chain_write(char text[CHAIN_LEN], const uint8_t digest[SHA256_SIZE])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < SHA256_SIZE; i += 3, text += 4) {
        const uint32_t last = i + 2 < SHA256_SIZE ? digest[i + 2] : 0;
        const uint32_t group = (uint32_t)digest[i] << 16 | (uint32_t)digest[i + 1] << 8 | last;
        for (unsigned k = 0; k < 4; k++)
            text[k] = letters[group >> (18 - 6 * k) & 63];
    }
    text[-1] = '=';
}

bool chain_add(struct chain *chain, const void *bytes, size_t len)
{
    uint8_t digest[SHA256_SIZE];
    sha256_init(chain->hash);
    sha256_add(chain->hash, chain->text, CHAIN_LEN);
    sha256_add(chain->hash, bytes, len);
    if (!sha256_final(chain->hash, digest))
        return false;
    chain_write(chain->text, digest);
    return true;
}
