/* The addresses that this host has. */
#include "config/local_addresses.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "config/array.h"

static bool local_addresses_add(struct local_addresses *local, const struct sockaddr *from)
{
    struct endpoint endpoint;
    size_t len = from->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if ((from->sa_family != AF_INET && from->sa_family != AF_INET6) || !endpoint_from_sockaddr(&endpoint, from, len))
        return true;
    struct address *addresses = array_room(local->addresses, local->count, sizeof(*addresses));
    if (addresses == NULL)
        return false;
    local->addresses = addresses;
    addresses[local->count++] = endpoint.ip;
    return true;
}

bool local_addresses_read(struct local_addresses *local)
{
    struct ifaddrs *found = NULL;
    bool fine = getifaddrs(&found) == 0;
    *local = (struct local_addresses){0};
    for (const struct ifaddrs *each = found; fine && each != NULL; each = each->ifa_next) {
        if (each->ifa_addr != NULL)
            fine = local_addresses_add(local, each->ifa_addr);
    }
    if (found != NULL)
        freeifaddrs(found);
    if (!fine)
        local_addresses_fini(local);
    return fine;
}

void local_addresses_fini(struct local_addresses *local)
{
    free(local->addresses);
    *local = (struct local_addresses){0};
}

bool local_addresses_has(const struct local_addresses *local, const struct address *address)
{
    if (address->family == FAMILY_V4 && address->bytes[0] == 127)
        return true;
    for (size_t i = 0; i < local->count; i++) {
        if (address_equal(&local->addresses[i], address))
            return true;
    }
    return false;
}
