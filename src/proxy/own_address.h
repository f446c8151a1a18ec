/* Whether an address leads to this host itself, as the kernel sees it now. */
#ifndef EXEAT_PROXY_OWN_ADDRESS_H
#define EXEAT_PROXY_OWN_ADDRESS_H

#include <stdint.h>

#include "base/address.h"

/* A worker's line to the kernel's routing tables. */
struct own_address;

/* NULL: the kernel does not give one. */
struct own_address *own_address_new(void);
void own_address_free(struct own_address *own);

enum own_answer {
    OWN_UNKNOWN = 0, /* the kernel could not be asked: nobody may dial on that */
    OWN_YES,
    OWN_NO,
};

/* Asks for the route that a socket with this mark (0: none) would take, which also knows of addresses that came late and of whole networks that are
 * local (AnyIP). An IPv4 address inside IPv6 is asked for as what the kernel dials, IPv4. */
enum own_answer own_address_ask(struct own_address *own, const struct address *address, uint32_t mark);

#endif
