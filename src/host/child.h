/* One process that the supervisor keeps alive: its channel, and when it may be started again. */
#ifndef EXEAT_HOST_CHILD_H
#define EXEAT_HOST_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Zeroed but for its role and a channel of -1, it was never started and may start at once. */
struct child {
    char *role;
    uint64_t capabilities; /* that it is started with */
    pid_t pid;             /* 0: not running */
    int channel;           /* -1: none */
    uint64_t started_ms;
    uint64_t again_ms; /* when it may start again */
    bool yields;       /* it was asked to end, for another to go on where it ends */
    unsigned failures; /* how often in a row it ended soon after it began */
};

/* Starts it with a channel of its own. False with errno: it is to be tried again later, like one that died. */
bool child_start(struct child *child);

/* Closes our end of its channel; it takes that as its own end. */
void child_hang_up(struct child *child);

/* It was reaped: says how it ended, unless well, and sets when it may start again. `status` is waitpid's. */
void child_ended(struct child *child, int status);

/* It has ended soon after each of the last starts. */
bool child_is_failing(const struct child *child);

#endif
