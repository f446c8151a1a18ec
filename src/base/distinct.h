/* About how many different ones there were, in a fixed kilobyte (HyperLogLog). */
#ifndef EXEAT_BASE_DISTINCT_H
#define EXEAT_BASE_DISTINCT_H

#include <stdint.h>

#define DISTINCT_BITS 10
#define DISTINCT_SIZE (1u << DISTINCT_BITS)

/* No register is ever higher. */
#define DISTINCT_RANK_MAX (64 - DISTINCT_BITS + 1)

/* Zeroed: none. Off by some 3 percent; up to a few dozen it is nearly always exact. */
struct distinct {
    uint8_t registers[DISTINCT_SIZE];
};

/* `hash`: of the one that came, by hash_bytes() and the same seed for all that are ever merged. */
void distinct_add(struct distinct *distinct, uint64_t hash);

/* Those of both. */
void distinct_merge(struct distinct *into, const struct distinct *from);

uint64_t distinct_count(const struct distinct *distinct);

#endif
