/* The directory of an audit file: where files that were renamed are found again, and what makes names last. */
#include "audit/journal_sibling.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool journal_sibling_is(const struct stat *status, uint64_t inode)
{
    return S_ISREG(status->st_mode) && status->st_ino == inode;
}

/* What stands under a name may be another file by the time that it is open. */
static int journal_sibling_try(int directory, const char *name, uint64_t inode, int flags)
{
    struct stat status;
    if (fstatat(directory, name, &status, 0) != 0 || !journal_sibling_is(&status, inode))
        return -1;
    int fd = openat(directory, name, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || (fstat(fd, &status) == 0 && journal_sibling_is(&status, inode)))
        return fd;
    close(fd);
    return -1;
}

/* -1 with errno. */
static int journal_sibling_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    int directory = name ? open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(name);
    return directory;
}

DIR *journal_sibling_list(const char *path)
{
    const int directory = journal_sibling_directory(path);
    DIR *entries = directory >= 0 ? fdopendir(directory) : NULL;
    if (entries || directory < 0)
        return entries;
    const int error = errno;
    close(directory);
    errno = error;
    return NULL;
}

bool journal_sibling_sync(const char *path)
{
    const int directory = journal_sibling_directory(path);
    const bool synced = directory >= 0 && fsync(directory) == 0;
    const int error = errno;
    if (directory >= 0)
        close(directory);
    errno = error;
    return synced;
}

static int journal_sibling_search(DIR *directory, uint64_t inode, int flags)
{
    int fd = -1;
    for (struct dirent *entry; fd < 0 && (entry = readdir(directory));)
        fd = journal_sibling_try(dirfd(directory), entry->d_name, inode, flags);
    return fd;
}

int journal_sibling_open(const char *path, uint64_t inode, int flags)
{
    int fd = journal_sibling_try(AT_FDCWD, path, inode, flags); /* it may be a symbolic link to elsewhere */
    DIR *entries = fd < 0 ? journal_sibling_list(path) : NULL;
    if (!entries)
        return fd;
    fd = journal_sibling_search(entries, inode, flags);
    closedir(entries);
    return fd;
}
