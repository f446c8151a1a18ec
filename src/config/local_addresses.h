/* The addresses that this host has. */
#ifndef EXEAT_CONFIG_LOCAL_ADDRESSES_H
#define EXEAT_CONFIG_LOCAL_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

struct local_addresses {
    struct address *addresses;
    size_t count;
};

/* Asks the kernel. False: it could not be asked, and the list is empty. */
bool local_addresses_read(struct local_addresses *local);
void local_addresses_fini(struct local_addresses *local);

/* All of 127.0.0.0/8 counts as had. */
bool local_addresses_has(const struct local_addresses *local, const struct address *address);

#endif
