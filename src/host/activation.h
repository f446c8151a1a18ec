/* Listening sockets that a service manager has bound and passes on at the start: the protocol of sd_listen_fds(3). */
#ifndef EXEAT_HOST_ACTIVATION_H
#define EXEAT_HOST_ACTIVATION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

/* Zeroed: none were passed, and there is nothing to take. */
struct activation {
    struct activation_socket *all;
    size_t count;
};

/* Finds in the environment what was passed to this process, makes it close-on-exec and non-blocking, and takes the variables out of there, so that
 * no program that is executed takes the descriptors for its own. False: one of them is nothing to serve on; the log says which, and why. Before the
 * first thread. */
bool activation_open(struct activation *activation);
/* Closes what nobody took. */
void activation_close(struct activation *activation);

/* Moves the sockets that listen there to the caller, `most` at most. How many there were. */
size_t activation_take(struct activation *activation, const struct endpoint *address, int *fds, size_t most);
/* The same for a Unix socket; -1: there is none. */
int activation_take_unix(struct activation *activation, const char *path);

/* Everything has been taken. If not the log names what is left: whoever connects there would never be served. */
bool activation_is_used(const struct activation *activation);

#endif
