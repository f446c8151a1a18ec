/* Listening sockets, bound once by the supervisor and handed to every generation of the server. */
#ifndef EXEAT_HOST_BIND_H
#define EXEAT_HOST_BIND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

/* Binds `count` sockets with SO_REUSEPORT to one address and listens; port 0 picks one, the same for all, and *address is then what was bound.
 * False with errno, and nothing left open. */
bool bind_listeners(struct endpoint *address, int *fds, size_t count);

#endif
