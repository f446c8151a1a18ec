/* Which paths this process may still open, and whom it may still reach on this host, by the kernel's Landlock. */
#ifndef EXEAT_HOST_LANDLOCK_H
#define EXEAT_HOST_LANDLOCK_H

#include <stdbool.h>
#include <stddef.h>

/* What is granted below a directory, or of a file that nobody ever replaces. */
enum landlock_access { LANDLOCK_READ = 1, LANDLOCK_LIST = 2, LANDLOCK_WRITE = 4 /* and make and cut files */ };

struct landlock_grant {
    const char *path; /* what is not there is left out; NULL: none */
    unsigned access;
};

/* The version of the kernel's Landlock; 0 with errno: it has none. */
int landlock_abi(void);

/* From here on, over exec too, nothing is opened but what is granted; what is open stays so. Beside that, as far as the version knows of it: no TCP
 * port is bound, but for one that the kernel picks where `binds`; no signal and no abstract unix socket reaches another process. Needs
 * no_new_privs. Returns 0 or an errno. */
int landlock_restrict(const struct landlock_grant *grants, size_t count, bool binds);

#endif
