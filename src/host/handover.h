/* What one supervisor leaves to the program that is executed in its place: all that is not in a file, as words in a file in memory. */
#ifndef EXEAT_HOST_HANDOVER_H
#define EXEAT_HOST_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/bounds.h"
#include "host/child.h"
#include "host/doors.h"
#include "host/generations.h"
#include "host/state_keeper.h"

#define HANDOVER_MAX (1u << 20) /* bytes */

/* Descriptors are those of the process, which execs; -1: there is none. What is read is the reader's. */
struct handover {
    unsigned workers;
    uint64_t capabilities[2]; /* in force in the supervisor, and those that servers are given */
    bool may_mark;
    int configuration, origin; /* as candidate_adopt() takes them */
    uint32_t edition;          /* the number by which servers are told of it from here on: none had a higher one */
    int sign_key;
    struct bounds bounds;
    struct doors doors;
    struct state_keeper state;
    struct child journal;
    bool reopen, bereaved; /* as the supervisor has them */
    struct generations generations;
    uint32_t reloads[2];              /* refused, taken */
    bool wants_reload, wants_upgrade; /* somebody has asked since the last one began */
};

/* A file that holds it, or -1 with errno. The structs that it points to are borrowed. */
int handover_store(const struct handover *handover);

/* Reads such bytes. False: they are not of this form, from another program's time, or memory ran out; nothing is left to be freed then. */
bool handover_read(struct handover *handover, const char *bytes, size_t len);
/* The same from a file's start. */
bool handover_load(struct handover *handover, int fd);
/* Frees what was read, and closes nothing. */
void handover_free(struct handover *handover);

/* Whether an exec closes its descriptors. False with errno: one of them is not open. */
bool handover_set_cloexec(const struct handover *handover, bool closes);

#endif
