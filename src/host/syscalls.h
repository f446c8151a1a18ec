/* Which system calls a process may still make, by seccomp: one table. */
#ifndef EXEAT_HOST_SYSCALLS_H
#define EXEAT_HOST_SYSCALLS_H

/* Whose calls. */
enum syscalls_who { SYSCALLS_SERVER = 1, SYSCALLS_JOURNAL = 2, SYSCALLS_BOTH = 3 };

/* From here on, over exec too, for this thread and those that it starts: what only somebody else's code would call, such as execve, kills the
 * process; any other call that is not in the table for it is answered with ENOSYS, as by a kernel that does not know it. Needs no_new_privs. Returns
 * 0 or an errno. */
int syscalls_restrict(enum syscalls_who who);

#endif
