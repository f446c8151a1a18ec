/* Whom the service runs as, and which capabilities its configuration needs. */
#ifndef EXEAT_HOST_PRIVILEGES_H
#define EXEAT_HOST_PRIVILEGES_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

/* Which capabilities (host/capability) each process has. The journal has none. */
struct privileges {
    uint64_t supervisor; /* in force there: to bind what a later configuration lists, too */
    uint64_t server;     /* held by the supervisor only to be given to each server that it starts */
};

/* Becomes `user` where that is asked for and this is root, with its own group and no others, then keeps nothing but what the configuration needs and
 * this process has. Before the first thread. False, said in the log: it is still root, or more than that, and must not go on. */
bool privileges_drop(const struct config *config, struct privileges *kept);

/* Whether the server must be able to mark. Where it need not at the start, a later configuration may not ask for it: each mark is a fault. */
bool privileges_mark(const struct config *config);
void privileges_forbid_marks(const struct config *config, struct fault_list *faults);

#endif
