/* The program that may follow this one in place: tried aside first, then executed, with what it is left. */
#ifndef EXEAT_HOST_SUCCESSOR_H
#define EXEAT_HOST_SUCCESSOR_H

#include <stdbool.h>
#include <sys/types.h>

#include "host/handover.h"

/* As it was started: a package puts the next one in the same place. */
struct successor {
    char *program;      /* absolute; malloc'd */
    char *const *words; /* of its command line, from the command on; borrowed */
};

/* NULL with errno: nobody knows. */
char *successor_program(void);

/* Starts it aside, to read what it would be left and to say in *said (a file in memory, owned by the caller) what is wrong with that; it exits with 0
 * when nothing is. -1 with errno. */
pid_t successor_try(const struct successor *successor, const struct handover *handover, int *said);

/* Executes it in this process, with one thread. Comes back, with errno, only when that cannot be; then everything is as it was. */
void successor_become(const struct successor *successor, const struct handover *handover);

/* In that program: what it was left, once. -1: nothing, it was started as ever. `trial`: it is only tried. */
int successor_left(bool *trial);

#endif
