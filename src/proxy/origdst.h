/* Where a client that the network brought here meant to go. */
#ifndef EXEAT_PROXY_ORIGDST_H
#define EXEAT_PROXY_ORIGDST_H

#include <stdbool.h>

#include "base/address.h"
#include "config/config.h"

/* By REDIRECT the connection's address was rewritten, and conntrack knows the first one (SO_ORIGINAL_DST, IP6T_SO_ORIGINAL_DST); by TPROXY it is the
 * socket's own (Linux Documentation/networking/tproxy.rst). Of who connected to the listener itself it is the listener's address. False: unknown, and
 * *out is zeroed. */
bool origdst_find(struct endpoint *out, int fd, enum listener_mode mode);

#endif
