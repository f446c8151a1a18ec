/* The file that keeps what a server knew for the next start of exeat: read and written without ever waiting for its disk. */
#ifndef EXEAT_HOST_STATE_FILE_H
#define EXEAT_HOST_STATE_FILE_H

#include <sys/types.h>

/* What such a file begins with; of the rest only the server knows. */
#define STATE_FILE_HEAD "exeat rules 1\n"

#define STATE_FILE_MAX ((off_t)32 << 20)

/* Opens it for reading. -1 with errno: ENOENT, EINVAL when it is something else, which must not be written over. */
int state_file_open(const char *path);

/* Starts a process that puts all of `fd`, from its beginning, in place of the file (mode 0640), as a whole or not at all. -1 with errno. */
pid_t state_file_write(const char *path, int fd);

/* Waits until that process has ended, for so long at most. */
void state_file_wait(pid_t writer, unsigned patience_ms);

#endif
