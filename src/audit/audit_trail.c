/* The records that were read last, as the chain sees them. */
#include "audit/audit_trail.h"

#include <assert.h>

void audit_trail_add(struct audit_trail *trail, const struct audit_link *link)
{
    assert(trail->count == 0 || link->seq == trail->last + 1);
    trail->links[link->seq % AUDIT_TRAIL_SIZE] = *link;
    if (trail->count == 0)
        trail->first = link->seq;
    trail->last = link->seq;
    if (trail->count < AUDIT_TRAIL_SIZE)
        trail->count++;
}

const struct audit_link *audit_trail_last(const struct audit_trail *trail)
{
    return trail->count > 0 ? &trail->links[trail->last % AUDIT_TRAIL_SIZE] : NULL;
}

const struct audit_link *audit_trail_find(const struct audit_trail *trail, uint64_t seq)
{
    if (seq > trail->last || trail->last - seq >= trail->count)
        return NULL;
    return &trail->links[seq % AUDIT_TRAIL_SIZE];
}
