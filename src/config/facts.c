/* What a configuration says, one fact a value, as its sections are read; and a set of facts, to hold two configurations against each other. */
#include "config/facts.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* Facts are kept as hashes of 64 bits: a million host names are not held a second time. Two that are taken for one would be missing from the words
 * that say what changed, and nowhere else. */
struct facts {
    uint64_t *hashes;
    size_t count, room;
    bool failed;
};

static uint64_t facts_hash_title(const char *title)
{
    return hash_bytes(title, strlen(title), 0);
}

static uint64_t facts_hash(const struct fact *fact)
{
    const uint64_t key = hash_bytes(fact->key, strlen(fact->key), facts_hash_title(fact->title));
    return hash_bytes(fact->value, strlen(fact->value), key);
}

struct facts *facts_new(void)
{
    return calloc(1, sizeof(struct facts));
}

void facts_free(struct facts *facts)
{
    if (facts == NULL)
        return;
    free(facts->hashes);
    free(facts);
}

static void facts_put(struct facts *facts, uint64_t hash)
{
    if (facts->count == facts->room) {
        const size_t room = facts->room ? 2 * facts->room : 1024;
        uint64_t *grown = reallocarray(facts->hashes, room, sizeof(*grown));
        facts->failed = facts->failed || grown == NULL;
        if (grown == NULL)
            return;
        facts->hashes = grown;
        facts->room = room;
    }
    facts->hashes[facts->count++] = hash;
}

void facts_add(struct facts *facts, const struct fact *fact)
{
    facts_put(facts, facts_hash_title(fact->title));
    facts_put(facts, facts_hash(fact));
}

static int facts_compare(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Sorted, and each once. */
bool facts_seal(struct facts *facts)
{
    size_t kept = 0;
    if (facts->count > 1)
        qsort(facts->hashes, facts->count, sizeof(*facts->hashes), facts_compare);
    for (size_t i = 0; i < facts->count; i++)
        if (kept == 0 || facts->hashes[kept - 1] != facts->hashes[i])
            facts->hashes[kept++] = facts->hashes[i];
    facts->count = kept;
    return !facts->failed;
}

static bool facts_find(const struct facts *facts, uint64_t hash)
{
    return facts->count > 0 && bsearch(&hash, facts->hashes, facts->count, sizeof(hash), facts_compare) != NULL;
}

bool facts_has(const struct facts *facts, const struct fact *fact)
{
    return facts_find(facts, facts_hash(fact));
}

bool facts_has_title(const struct facts *facts, const char *title)
{
    return facts_find(facts, facts_hash_title(title));
}

bool facts_are_in(const struct facts *facts, const struct facts *others)
{
    size_t at = 0;
    for (size_t i = 0; i < facts->count; i++) {
        while (at < others->count && others->hashes[at] < facts->hashes[i])
            at++;
        if (at == others->count || others->hashes[at] != facts->hashes[i])
            return false;
    }
    return true;
}
