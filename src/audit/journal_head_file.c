/* FILE.head, open beside the audit file and renewed in its place. */
#include "audit/journal_head_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define HEAD_MODE 0640

static void journal_head_file_say(const char *path, int error)
{
    if (error)
        log_warn("audit file %s: its .head cannot be written, so that a cut end will not show: %s", path, strerror(error));
    else
        log_info("audit file %s: its .head is written again", path);
}

/* A head is written over wherever it is: never through a link, to what is somebody else's. */
static int journal_head_file_create(const char *name)
{
    const int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW;
    int fd = open(name, flags | O_CREAT | O_EXCL, HEAD_MODE);
    if (fd < 0 && errno == EEXIST)
        return open(name, flags);
    if (fd >= 0)
        fchmod(fd, HEAD_MODE);
    return fd;
}

void journal_head_file_open(struct journal_head_file *head, const char *path)
{
    char *name = journal_head_path(path);
    journal_head_file_close(head);
    head->fd = name ? journal_head_file_create(name) : -1;
    if (head->fd < 0)
        journal_head_file_say(path, errno);
    free(name);
}

void journal_head_file_close(struct journal_head_file *head)
{
    if (head->fd >= 0)
        close(head->fd);
    head->fd = -1;
}

/* A disk that fails is said by the file itself, with the next batch: only a head that fails again behind a batch that went well is said here. */
void journal_head_file_renew(struct journal_head_file *head, const char *path, const struct journal_head *end, bool sync)
{
    struct stat status;
    if (head->fd >= 0 && fstat(head->fd, &status) == 0 && status.st_nlink == 0)
        journal_head_file_open(head, path);
    if (head->fd < 0)
        return;
    const bool renewed = journal_head_write(end, head->fd) && (!sync || fdatasync(head->fd) == 0);
    const int error = renewed ? 0 : errno;
    const bool lasts = error != 0 && head->error != 0;
    if (lasts ? !head->said : error == 0 && head->said) {
        journal_head_file_say(path, error);
        head->said = lasts;
    }
    head->error = error;
}
