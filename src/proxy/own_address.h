/* Whether an address leads to this host itself, as the kernel sees it now. */
#ifndef EXEAT_PROXY_OWN_ADDRESS_H
#define EXEAT_PROXY_OWN_ADDRESS_H

#include <stdint.h>

#include "base/address.h"

/* A worker's line to the kernel's routing tables, and what it has said since they last changed. */
struct own_address;

/* NULL: the kernel does not give one. */
struct own_address *own_address_new(void);
void own_address_free(struct own_address *own);

enum own_answer {
    OWN_UNKNOWN = 0, /* the kernel could not be asked: nobody may dial on that */
    OWN_YES,
    OWN_NO,
};

/* Answers by the route that a socket with this mark (0: none) would take, which also knows of addresses that came late and of whole networks that are
 * local (AnyIP). An IPv4 address inside IPv6 is asked for as what the kernel dials, IPv4. What was asked a moment ago is not asked again unless the
 * kernel has told of a change: it tells before the change is done for whoever makes it. */
enum own_answer own_address_ask(struct own_address *own, const struct address *address, uint32_t mark);

/* How many questions the kernel was asked. For tests. */
uint32_t own_address_asked(const struct own_address *own);

#endif
