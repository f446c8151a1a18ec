/* About how many different ones there were, in a fixed kilobyte (HyperLogLog). */
#include "base/distinct.h"

#include <math.h>

/* Flajolet and others, "HyperLogLog": the constant for this many registers. */
#define DISTINCT_ALPHA (0.7213 / (1 + 1.079 / DISTINCT_SIZE))

/* The upper bits pick a register, which keeps the longest run of zeros seen in front of the rest, plus one. */
void distinct_add(struct distinct *distinct, uint64_t hash)
{
    const uint64_t rest = hash << DISTINCT_BITS | (uint64_t)1 << (DISTINCT_BITS - 1); /* that bit ends every run */
    const uint8_t rank = (uint8_t)(__builtin_clzll(rest) + 1);
    uint8_t *slot = &distinct->registers[hash >> (64 - DISTINCT_BITS)];
    if (rank > *slot)
        *slot = rank;
}

void distinct_merge(struct distinct *into, const struct distinct *from)
{
    for (unsigned i = 0; i < DISTINCT_SIZE; i++)
        if (from->registers[i] > into->registers[i])
            into->registers[i] = from->registers[i];
}

/* Few are counted better by how many registers are still empty. */
uint64_t distinct_count(const struct distinct *distinct)
{
    const double size = DISTINCT_SIZE;
    double sum = 0, empty = 0;
    for (unsigned i = 0; i < DISTINCT_SIZE; i++) {
        sum += ldexp(1, -distinct->registers[i]);
        empty += distinct->registers[i] == 0;
    }
    const double estimate = DISTINCT_ALPHA * size * size / sum;
    return (uint64_t)llround(estimate <= 2.5 * size && empty > 0 ? size * log(size / empty) : estimate);
}
