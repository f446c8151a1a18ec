/* The digest of a configuration: SHA-256 over the hashes of its facts, sorted, each once. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "config/digest.h"

#define FACTS_MAX 20000
#define FACT_TEXT_MAX 64

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, SHA256_SIZE);
}

static int fact_text(char text[FACT_TEXT_MAX], size_t number)
{
    return sprintf(text, "hosts h host n%zu.example", number);
}

/* By the words of the contract, with nothing but qsort(3). */
static void plain_digest(size_t facts, char out[CONFIG_DIGEST_SIZE])
{
    static uint8_t hashes[FACTS_MAX][SHA256_SIZE];
    uint8_t sum[SHA256_SIZE];
    char text[FACT_TEXT_MAX];
    for (size_t i = 0; i < facts; i++)
        cr_assert(sha256_of(hashes[i], text, (size_t)fact_text(text, i)));
    qsort(hashes, facts, SHA256_SIZE, compare);
    cr_assert(sha256_of(sum, hashes, facts * SHA256_SIZE));
    out += sprintf(out, "sha256:");
    for (size_t i = 0; i < SHA256_SIZE; i++)
        out += sprintf(out, "%02x", sum[i]);
}

/* Every fact `times` over, beginning in another place each time and going on in steps, so that the order is another, too. */
static void expect_digest(size_t facts, size_t times)
{
    static const size_t steps[] = {1, 7, 11, 13}; /* none divides a count of facts below */
    struct digest *digest = digest_new();
    char text[FACT_TEXT_MAX], got[CONFIG_DIGEST_SIZE], wanted[CONFIG_DIGEST_SIZE];
    for (size_t time = 0; time < times; time++) {
        for (size_t i = 0; i < facts; i++)
            digest_add(digest, text, (size_t)fact_text(text, (time + i * steps[time % 4]) % facts));
    }
    cr_expect(digest_finish(digest, got));
    plain_digest(facts, wanted);
    cr_expect_str_eq(got, wanted, "%zu facts, %zu times", facts, times);
    digest_free(digest);
}

Test(digest, is_of_the_sorted_facts)
{
    expect_digest(0, 1);
    expect_digest(1, 1);
    expect_digest(20, 3);
    expect_digest(1000, 1);
    expect_digest(20000, 2);
}

/* More equal hashes than are sorted one by one. */
Test(digest, knows_no_repetition)
{
    expect_digest(1, 100);
    expect_digest(10, 200);
    expect_digest(500, 50);
}
