/* The directory of an audit file: where files that were renamed are found again, and what makes names last. */
#ifndef EXEAT_AUDIT_JOURNAL_SIBLING_H
#define EXEAT_AUDIT_JOURNAL_SIBLING_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>

/* Opens the directory of `path` to list what is in it; the caller's to close. NULL with errno. */
DIR *journal_sibling_list(const char *path);

/* Sees to it that what was created in the directory of `path` has its name, whatever happens. False with errno. */
bool journal_sibling_sync(const char *path);

/* Opens the regular file with this inode in the directory of `path` (`path` itself among them), by open(2) with `flags`. -1: there is none. */
int journal_sibling_open(const char *path, uint64_t inode, int flags);

#endif
