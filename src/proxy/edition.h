/* One edition of what the workers serve by: a snapshot of the configuration and the addresses that it listens on. */
#ifndef EXEAT_PROXY_EDITION_H
#define EXEAT_PROXY_EDITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

struct edition_address {
    uint32_t number; /* the supervisor's, the same from edition to edition */
    const struct listener *listener;
    bool inherited;        /* others listen on its sockets, too, or will */
    struct endpoint bound; /* not set before its first socket */
    int *fds;              /* by worker: a socket that it does not have yet, for it to take; -1: none */
};

/* Built by the main thread, then given to all workers, each of which touches only what is its own. */
struct edition {
    uint32_t number;
    struct config *config; /* one reference */
    struct edition_address *addresses;
    size_t address_count;
    unsigned workers;
    bool lacks;    /* a socket that did not arrive */
    unsigned refs; /* private, atomic */
};

/* Takes over the reference to the configuration, also when it is out of memory (NULL). */
struct edition *edition_new(uint32_t number, struct config *config, unsigned workers);
struct edition *edition_ref(struct edition *edition);
/* The last one closes the sockets that nobody took. */
void edition_unref(struct edition *edition);

/* Address `number` belongs to that listener of the configuration; what `before` (NULL: nothing) knows of it stays. False: no such listener, or out of
 * memory. */
bool edition_add_address(struct edition *edition, uint32_t number, uint32_t listener, bool inherited, const struct edition *before);
/* A socket of that address for a worker, -1: it did not arrive; it is the edition's from here on, also when this fails. */
bool edition_add_socket(struct edition *edition, uint32_t number, uint32_t worker, int fd);
/* Every address has been bound, and every socket has arrived. */
bool edition_is_whole(const struct edition *edition);

/* NULL: it is not listened on any more. */
const struct edition_address *edition_find(const struct edition *edition, uint32_t number);

#endif
