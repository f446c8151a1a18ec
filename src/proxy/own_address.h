/* Whether an address leads to this host itself, as the kernel sees it now. */
#ifndef EXEAT_PROXY_OWN_ADDRESS_H
#define EXEAT_PROXY_OWN_ADDRESS_H

#include <stdbool.h>

#include "base/address.h"

/* Asks for the route, which also knows of addresses that came late and of whole networks that are local (AnyIP). When the kernel cannot be asked
 * the answer is yes: whoever asks is about to dial. */
bool own_address_is(const struct address *address);

#endif
