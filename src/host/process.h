/* Starting one of our own processes: fork and exec of this program in another role. */
#ifndef EXEAT_HOST_PROCESS_H
#define EXEAT_HOST_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

extern char PROCESS_ROLE_SERVER[];  /* "-server" */
extern char PROCESS_ROLE_JOURNAL[]; /* "-journal" */

/* Starts `exeat ROLE` with `channel` as CHANNEL_CHILD_FD and, of those that are permitted here, these capabilities alone; every other descriptor
 * above standard error must be close-on-exec. Returns its pid, or -1 with errno. */
pid_t process_start(char *role, int channel, uint64_t capabilities);

/* What every started process does first: it is driven by the supervisor alone, so the signals of a terminal or a service manager are not for it. */
void process_settle(void);

/* Gives freed memory back to the kernel, which malloc keeps for more of the same: for when a configuration has been read. */
void process_give_back(void);

#endif
