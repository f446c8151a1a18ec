/* Where exeat itself can be reached, so that no route leads back into it. */
#include "config/never.h"

#include <stdlib.h>

#include "policy/address_class.h"

static struct network never_network(const struct address *address)
{
    return (struct network){.base = *address, .prefix = (uint8_t)(8 * address_size(address))};
}

static bool never_add(struct policy *policy, const struct address *address, uint16_t port)
{
    const struct network network = never_network(address);
    return policy_add_never(policy, &network, port);
}

/* To the kernel, dialling 0.0.0.0 or :: is dialling this host. */
static bool never_add_any(struct policy *policy, uint16_t port)
{
    static const struct address V4 = {.family = FAMILY_V4}, V6 = {.family = FAMILY_V6};
    return never_add(policy, &V4, port) && never_add(policy, &V6, port);
}

static bool never_add_local(struct policy *policy, const struct local_addresses *local, uint16_t port)
{
    static const struct network LOOPBACK_V4 = {.base = {.family = FAMILY_V4, .bytes = {127}}, .prefix = 8};
    static const struct network LOOPBACK_V6 = {.base = {.family = FAMILY_V6, .bytes = {[15] = 1}}, .prefix = 128};
    bool fine = policy_add_never(policy, &LOOPBACK_V4, port) && policy_add_never(policy, &LOOPBACK_V6, port);
    for (size_t i = 0; fine && i < local->count; i++)
        fine = never_add(policy, &local->addresses[i], port);
    return fine;
}

static bool never_add_mapped(struct policy *policy, uint16_t port)
{
    for (size_t i = 0; i < policy_route_count(policy); i++) {
        const struct route *route = policy_route_at(policy, i);
        for (size_t j = 0; j < route->source_count; j++) {
            const struct source *source = &route->sources[j];
            if (!address_equal(&source->local, &source->public_ip) && !never_add(policy, &source->public_ip, port))
                return false;
        }
    }
    return true;
}

bool never_add_listener(struct policy *policy, const struct endpoint *listener, const struct local_addresses *local)
{
    uint16_t port = listener->port;
    if (port == 0)
        return true;
    if (address_is_any(&listener->ip) && !never_add_local(policy, local, port))
        return false;
    return never_add(policy, &listener->ip, port) && never_add_any(policy, port) && never_add_mapped(policy, port);
}

static size_t never_most(const struct policy *policy, const struct local_addresses *local)
{
    size_t most = local->count;
    for (size_t i = 0; i < policy_route_count(policy); i++)
        most += 2 * policy_route_at(policy, i)->source_count;
    return most;
}

static void never_gather(struct network *networks, size_t *count, const struct address *address)
{
    if (address_class_of(address) != ADDRESS_LOOPBACK)
        networks[(*count)++] = never_network(address);
}

static void never_gather_route(struct network *networks, size_t *count, const struct route *route)
{
    for (size_t i = 0; i < route->source_count; i++) {
        never_gather(networks, count, &route->sources[i].local);
        never_gather(networks, count, &route->sources[i].public_ip);
    }
}

/* A pool is thousands of addresses and few networks. */
bool never_add_host(struct policy *policy, const struct local_addresses *local)
{
    struct network *networks = calloc(never_most(policy, local) + 1, sizeof(*networks));
    bool fine = networks != NULL;
    size_t count = 0;
    for (size_t i = 0; fine && i < local->count; i++)
        never_gather(networks, &count, &local->addresses[i]);
    for (size_t i = 0; fine && i < policy_route_count(policy); i++)
        never_gather_route(networks, &count, policy_route_at(policy, i));
    count = network_aggregate(networks, count);
    for (size_t i = 0; fine && i < count; i++)
        fine = policy_add_never(policy, &networks[i], 0);
    free(networks);
    return fine;
}
