/* Where exeat itself can be reached, so that no route leads back into it. */
#ifndef EXEAT_CONFIG_NEVER_H
#define EXEAT_CONFIG_NEVER_H

#include <stdbool.h>

#include "base/address.h"
#include "config/local_addresses.h"
#include "policy/policy.h"

/* Forbids to dial this listener at every address by which it can be reached: its own, for a wildcard all that the host has, and the public ones
 * that a cloud maps to the routes' sources. A port of 0 is nowhere yet. False: out of memory. */
bool never_add_listener(struct policy *policy, const struct endpoint *listener, const struct local_addresses *local);

/* For transparent listeners, whose door is every port: forbids to dial, on any port, what this host has, the routes' sources, and the public
 * addresses that a cloud maps to them. Not loopback: what stays within the host is not intercepted, and a route must list it anyway. False: out of
 * memory. */
bool never_add_host(struct policy *policy, const struct local_addresses *local);

#endif
