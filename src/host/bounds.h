/* The addresses that are listened on, bound by the supervisor with one socket a worker: which stay, come and go with a configuration. */
#ifndef EXEAT_HOST_BOUNDS_H
#define EXEAT_HOST_BOUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

/* One address of one listener. */
struct bound {
    uint32_t number;       /* for good: no other is ever given it */
    unsigned listener;     /* of the configuration */
    struct endpoint asked; /* as it stands there */
    struct endpoint address;
    char name[64]; /* of the listener */
    int *fds;      /* one a worker */
    bool fresh;    /* the plan before this one did not have it, and neither does the server that served by that */
};

struct bounds {
    struct bound *all;
    size_t count;
    unsigned workers;
    uint32_t last_number;
    uint64_t dropped_ms; /* when some were last dropped; 0: never */
};

/* Zeroed but for `workers` it listens nowhere. Closes every socket. */
void bounds_fini(struct bounds *bounds);

/* What the configuration asks for: an address that `now` has keeps its sockets (a port of 0 only under the same listener's name), every other one is
 * bound. Each that cannot be is a fault. *next is zeroed but for `workers`; its sockets are open in `now`, too, where they stay. */
void bounds_plan(struct bounds *next, const struct bounds *now, const struct config *config, struct fault_list *faults);
/* Either of the two is what holds from here on, in *now: the plan, or what was there before. Whoever is asked to connect to what goes is not answered
 * any more; who has connected is still in its sockets, which the server has. */
void bounds_commit(struct bounds *now, struct bounds *next);
void bounds_roll_back(const struct bounds *now, struct bounds *next);

#endif
