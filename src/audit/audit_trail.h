/* The records that were read last, as the chain sees them. */
#ifndef EXEAT_AUDIT_AUDIT_TRAIL_H
#define EXEAT_AUDIT_AUDIT_TRAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/chain.h"

#define AUDIT_TRAIL_SIZE 1024

struct audit_place {
    const char *file; /* the caller's, for as long as anything here lives */
    uint64_t line;
};

struct audit_link {
    struct audit_place at;
    uint64_t seq;
    bool has_chain;
    char chain[CHAIN_LEN]; /* as it stands in the record; of one without: what it would be */
};

/* Zeroed: nothing was read. What is in it has consecutive numbers. */
struct audit_trail {
    struct audit_link links[AUDIT_TRAIL_SIZE];
    size_t count;
    uint64_t first, last; /* of all that was ever added */
};

/* `link->seq` is one more than the last. */
void audit_trail_add(struct audit_trail *trail, const struct audit_link *link);

/* NULL: nothing was read. */
const struct audit_link *audit_trail_last(const struct audit_trail *trail);

/* NULL: it was never there, or too long ago. */
const struct audit_link *audit_trail_find(const struct audit_trail *trail, uint64_t seq);

#endif
