/* What serves: the configuration by which every server goes that is started, and where it listens. */
#ifndef EXEAT_HOST_SERVING_H
#define EXEAT_HOST_SERVING_H

#include <stdbool.h>
#include <stdint.h>

#include "config/candidate.h"
#include "host/bounds.h"

/* Only a reload that is taken changes it. */
struct serving {
    const char *path;            /* of the configuration, in its bundle */
    const char *listen;          /* `--listen`, or NULL */
    struct candidate *candidate; /* stored */
    struct bounds bounds;
    int origin;       /* the file of the first one, by which what only a restart changes still goes; -1: it serves still */
    uint32_t edition; /* its number */
    bool may_mark;    /* servers are given what it takes */
};

/* From here on this candidate serves (owned), where it was planned to listen (bounds_plan() over ours), as this edition. */
void serving_take(struct serving *serving, struct candidate *candidate, struct bounds *bounds, uint32_t edition);

/* Closes and frees all of it; the candidate may be gone already. */
void serving_fini(struct serving *serving);

/* Gives a server all addresses: each with its sockets, or only with those that are `fresh`. False with errno. */
bool serving_tell_addresses(const struct bounds *bounds, int channel, bool fresh);

#endif
