/* A text in a file that is nowhere, for another process: its descriptor goes there. */
#ifndef EXEAT_BASE_MEMO_H
#define EXEAT_BASE_MEMO_H

#include <stddef.h>

/* A descriptor of it, for the caller to close. `name` is what /proc says of it. -1 with errno. */
int memo_write(const char *name, const char *text, size_t len);

/* All of it, malloc'd, with a NUL behind it; the descriptor stays the caller's. NULL, and *len as it was: it is no file, is longer than `max`, or
 * memory ran out. */
char *memo_read(int fd, size_t max, size_t *len);

#endif
