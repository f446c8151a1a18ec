/* What kind of place an address is, by the IANA special-purpose registries. */
#ifndef EXEAT_POLICY_ADDRESS_CLASS_H
#define EXEAT_POLICY_ADDRESS_CLASS_H

#include <stdbool.h>

#include "base/address.h"

/* Zero is the safe one. Only PUBLIC may be dialled by a route with `addresses = public`. */
enum address_class {
    ADDRESS_RESERVED = 0,
    ADDRESS_PUBLIC,
    ADDRESS_PRIVATE, /* RFC 1918, unique local */
    ADDRESS_CGNAT,   /* 100.64.0.0/10 */
    ADDRESS_LOOPBACK,
    ADDRESS_LINKLOCAL,
    ADDRESS_METADATA, /* the clouds' own endpoints */
    ADDRESS_MULTICAST,
    ADDRESS_MAPPED, /* ::ffff:0:0/96: a resolver never gives one */
    ADDRESS_NAT64,
};

enum address_class address_class_of(const struct address *address);

/* True when the address carries an IPv4 one that a gateway or the kernel would really talk to (mapped, compatible, 6to4, NAT64): it goes to *v4. */
bool address_class_embedded(struct address *v4, const struct address *address);

/* "public", "loopback" … For tests. */
const char *address_class_text(enum address_class class);

/* Loopback, link-local and metadata: accepted only where a route lists them or says `any`. */
bool address_class_needs_listing(enum address_class class);

#endif
