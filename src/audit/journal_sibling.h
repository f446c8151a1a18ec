/* A file of the journal that was renamed, found again beside the one that is written now. */
#ifndef EXEAT_AUDIT_JOURNAL_SIBLING_H
#define EXEAT_AUDIT_JOURNAL_SIBLING_H

#include <dirent.h>
#include <stdint.h>

/* Opens the directory of `path`. -1 with errno. */
int journal_sibling_directory(const char *path);

/* … to list what is in it; the caller's to close. NULL with errno. */
DIR *journal_sibling_list(const char *path);

/* Opens the regular file with this inode in the directory of `path` (`path` itself among them), by open(2) with `flags`. -1: there is none. */
int journal_sibling_open(const char *path, uint64_t inode, int flags);

#endif
