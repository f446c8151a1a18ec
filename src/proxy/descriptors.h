/* How the descriptors of the server process are shared out: so many tunnels, and beside them so much of all that comes and goes. */
#ifndef EXEAT_PROXY_DESCRIPTORS_H
#define EXEAT_PROXY_DESCRIPTORS_H

#include <stddef.h>

/* What there is to share out. */
struct descriptor_needs {
    size_t limit; /* RLIMIT_NOFILE */
    size_t workers;
    size_t listeners;      /* addresses that are listened on: each is a socket a worker */
    size_t tunnels_wanted; /* 0: as many as there can be */
};

/* A tunnel has two descriptors of its own from its accept to its end: its client's, and one that serves the resolver's socket until it is the
 * origin's. So the tunnels can all be open, whatever else is taken, and who takes what is not there does without. */
struct descriptor_plan {
    size_t tunnels_max; /* at least 1; fewer than wanted where the limit leaves no room */
    size_t pipes_max;   /* pipes for splice, two descriptors each; without: the worker's buffer */
    size_t lingers_max; /* refused clients that may see their answer in peace; without: hung up on */
    size_t tries_max;   /* tries of a dial while an earlier one is under way; without: one after the other */
};

struct descriptor_plan descriptor_plan_make(const struct descriptor_needs *needs);

#endif
