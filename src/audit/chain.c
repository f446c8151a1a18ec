/* The chain over the lines of an audit file: each carries the hash of all before it. */
#include "audit/chain.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/sha256.h"

static_assert(sizeof(CHAIN_BEGINNING) == CHAIN_LEN + 1, "it stands for a chain");

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
    memcpy(chain->text, text != NULL ? text : CHAIN_BEGINNING, CHAIN_LEN);
}

const char *chain_text(const struct chain *chain)
{
    return chain->text;
}

bool chain_add(struct chain *chain, const void *bytes, size_t len)
{
    uint8_t digest[SHA256_SIZE];
    sha256_init(chain->hash);
    sha256_add(chain->hash, chain->text, CHAIN_LEN);
    sha256_add(chain->hash, bytes, len);
    if (!sha256_final(chain->hash, digest))
        return false;
    base64_write(chain->text, digest, sizeof(digest));
    return true;
}
