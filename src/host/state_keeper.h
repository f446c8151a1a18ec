/* What a server leaves for the next one, and what of it is in its file: the supervisor's part of [admin] state. */
#ifndef EXEAT_HOST_STATE_KEEPER_H
#define EXEAT_HOST_STATE_KEEPER_H

#include <stdbool.h>
#include <sys/types.h>

struct state_keeper {
    int fd;       /* what was left last; -1: nothing yet */
    bool waits;   /* it is to be written to its file */
    pid_t writer; /* 0: none */
};

/* In all of these `path` is that of the file; NULL: there is none, and what is left is kept for the next server only. */

/* Finds what a former exeat has left. False: something else stands there, which must not be written over; the log says so. */
bool state_keeper_open(struct state_keeper *keeper, const char *path);

/* Takes over what a server leaves. */
void state_keeper_take(struct state_keeper *keeper, const char *path, int fd);

/* A process has ended with this status. False: it was not one that writes the file. */
bool state_keeper_reap(struct state_keeper *keeper, const char *path, pid_t pid, int status);

/* Waits a moment for what is to be in the file. */
void state_keeper_end(struct state_keeper *keeper, const char *path);

#endif
