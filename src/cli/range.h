/* The addresses from which a route's connections come, as the rest of the world sees them. */
#ifndef EXEAT_CLI_RANGE_H
#define EXEAT_CLI_RANGE_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/policy.h"

struct range {
    const struct route *route;
    struct network *networks; /* the fewest that cover exactly its public addresses, IPv4 before IPv6 */
    size_t count;             /* 0: not pinned */
};

/* What is said of a route that is not pinned. */
#define RANGE_UNPINNED "not pinned: whatever this host uses"

/* False: out of memory; fini may be called all the same. */
bool range_init(struct range *range, const struct route *route);
void range_fini(struct range *range);

bool range_has_family(const struct range *range, enum family family);

/* Writes the CIDRs of a family (FAMILY_NONE: all) to standard output, each in `quote`, with `between` between them. */
void range_put(const struct range *range, enum family family, const char *quote, const char *between);

#endif
