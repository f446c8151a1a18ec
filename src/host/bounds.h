/* The addresses that are listened on, by one socket a worker, bound here or passed to us: which stay, come and go with a configuration. */
#ifndef EXEAT_HOST_BOUNDS_H
#define EXEAT_HOST_BOUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "host/activation.h"

/* One address of one listener. */
struct bound {
    uint32_t number;       /* for good: no other is ever given it */
    unsigned listener;     /* of the configuration */
    struct endpoint asked; /* as it stands there */
    struct endpoint address;
    char name[64];    /* of the listener */
    int *fds;         /* one a worker */
    bool inherited;   /* passed by the service manager, which has it, too, and the next start will: nothing is done to it that outlasts us */
    bool made_tproxy; /* by this plan, of sockets that were there already */
    bool fresh;       /* the plan before this one did not have it, and neither does the server that served by that */
};

struct bounds {
    struct bound *all;
    size_t count;
    unsigned workers;
    uint32_t last_number;
    uint64_t dropped_ms;       /* when some were last dropped; 0: never */
    struct activation *passed; /* what can be taken in place of binding; NULL: nothing */
};

/* Zeroed but for `workers` it listens nowhere. Closes every socket. */
void bounds_fini(struct bounds *bounds);

/* What the configuration asks for: an address that `now` has keeps its sockets (a port of 0 only under the same listener's name), every other one is
 * bound, or taken from what was passed. Each that cannot be had is a fault, and so is an inherited one that would go: who connects there would
 * wait for ever. *next is zeroed but for `workers`; its sockets are open in `now`, too, where they stay. */
void bounds_plan(struct bounds *next, const struct bounds *now, const struct config *config, struct fault_list *faults);
/* Either of the two is what holds from here on, in *now: the plan, or what was there before. Whoever is asked to connect to what goes is not answered
 * any more; who has connected is still in its sockets, which the server has. Whoever connects to an inherited one waits for who has it next. */
void bounds_commit(struct bounds *now, struct bounds *next);
void bounds_roll_back(const struct bounds *now, struct bounds *next);

#endif
