/* The addresses from which a route's connections come, as the rest of the world sees them. */
#include "cli/range.h"

#include <stdio.h>
#include <stdlib.h>

bool range_init(struct range *range, const struct route *route)
{
    *range = (struct range){.route = route};
    if (route->source_count == 0)
        return true;
    range->networks = calloc(route->source_count, sizeof(*range->networks));
    if (range->networks == NULL)
        return false;
    for (size_t i = 0; i < route->source_count; i++) {
        const struct address *address = &route->sources[i].public_ip;
        range->networks[i] = (struct network){.base = *address, .prefix = (uint8_t)(address_size(address) * 8)};
    }
    range->count = network_aggregate(range->networks, route->source_count);
    return true;
}

void range_fini(struct range *range)
{
    free(range->networks);
}

bool range_has_family(const struct range *range, enum family family)
{
    for (size_t i = 0; i < range->count; i++)
        if (range->networks[i].base.family == family)
            return true;
    return false;
}

void range_put(const struct range *range, enum family family, const char *quote, const char *between)
{
    char buf[NETWORK_TEXT_MAX];
    const char *before = "";
    for (size_t i = 0; i < range->count; i++) {
        const struct network *network = &range->networks[i];
        if (family != FAMILY_NONE && network->base.family != family)
            continue;
        printf("%s%s%s%s", before, quote, network_cidr_text(network, buf), quote);
        before = between;
    }
}
