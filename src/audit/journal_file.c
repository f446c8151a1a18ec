/* The audit file itself: opened once, appended to in whole batches, never left with half a record. */
#include "audit/journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "audit/journal_line.h"
#include "audit/journal_reverse.h"
#include "audit/journal_sibling.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#define FILE_MODE 0640
#define LOCK_TRIES 40
#define LOCK_PAUSE_MS 50
#define LOOK_EVERY_MS 1000
#define RESERVE_SHARE 10         /* of a file system, at most: on a small one all denials would be left out */
#define END_MAX ((off_t)2 << 20) /* how much of the file is searched for the end of its last line: blank bytes may follow a power cut */

/* Keeps what went wrong, as every step of opening does. */
static bool journal_file_fail(struct journal_file *file, const char *what)
{
    text_copy(file->fault, sizeof(file->fault), what, strlen(what));
    return false;
}

/* The mode is set by hand when the file is new, so that no umask narrows or widens it; an existing file keeps what it has. */
static bool journal_file_create(struct journal_file *file)
{
    const int flags = O_RDWR | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    file->fd = open(file->path, flags | O_CREAT | O_EXCL, FILE_MODE);
    if (file->fd >= 0)
        return fchmod(file->fd, FILE_MODE) == 0 || journal_file_fail(file, strerror(errno));
    if (errno == EEXIST)
        file->fd = open(file->path, flags);
    return file->fd >= 0 || journal_file_fail(file, strerror(errno));
}

/* A journal process that was just killed may hold the lock for a moment longer. */
static bool journal_file_lock(struct journal_file *file, int tries)
{
    while (flock(file->fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return journal_file_fail(file, strerror(errno));
        if (--tries <= 0)
            return journal_file_fail(file, "another process writes it");
        clock_pause_ms(LOCK_PAUSE_MS);
    }
    return true;
}

static bool journal_file_read(struct journal_file *file, char *buffer, size_t len, off_t at)
{
    for (size_t done = 0; done < len;) {
        ssize_t got = pread(file->fd, buffer + done, len - done, at + (off_t)done);
        if (got == 0 || (got < 0 && errno != EINTR))
            return journal_file_fail(file, got == 0 ? "it shrank while it was read" : strerror(errno));
        if (got > 0)
            done += (size_t)got;
    }
    return true;
}

/* The last line says where to go on. `bytes` are whole lines. */
static bool journal_file_end_with(struct journal_file *file, const char *bytes, size_t len)
{
    struct journal_line line;
    if (len == 0)
        return true;
    const char *before = memrchr(bytes, '\n', len - 1);
    const char *last = before ? before + 1 : bytes;
    if (!journal_line_read(&line, last, len - 1 - (size_t)(last - bytes)))
        return journal_file_fail(file, "its last line is no audit record");
    file->end.seq = line.seq;
    text_copy(file->end.chain, sizeof(file->end.chain), line.chain ? line.chain : "", line.chain ? CHAIN_LEN : 0);
    return true;
}

/* Blank bytes are what some file systems leave of what was not on the disk yet when the power went. A stranger's file may begin with some, too. */
static bool journal_file_is_spoilt(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != '\0' && bytes[i] != '\n' && (bytes[i] < 0x20 || bytes[i] > 0x7e))
            return false;
    }
    return len > 0 && bytes[0] == '\0';
}

/* What stands behind the last whole line was being written when everything stopped, by us. */
static bool journal_file_cut(struct journal_file *file, const char *torn, size_t len, off_t border)
{
    if (len == 0)
        return true;
    if (border == 0 && !journal_line_is_start(torn, len) && !journal_file_is_spoilt(torn, len))
        return journal_file_fail(file, "it holds something else than audit records");
    if (ftruncate(file->fd, border) != 0)
        return journal_file_fail(file, strerror(errno));
    log_warn("audit file %s: cut off a torn last line of %zu bytes", file->path, len);
    file->cut += len;
    file->end.size = (uint64_t)border;
    return true;
}

/* `bytes` are the last `len` of the file, which begin at `from`. Behind the first blank byte nothing counts: what stands there was never said to be
 * on file, unless the head vouches for it. */
static bool journal_file_resume(struct journal_file *file, const char *bytes, size_t len, off_t from)
{
    const size_t vouched = file->vouched > (uint64_t)from ? (size_t)(file->vouched - (uint64_t)from) : 0;
    const char *blank = vouched < len ? memchr(bytes + vouched, '\0', len - vouched) : NULL;
    const char *newline = memrchr(bytes, '\n', blank ? (size_t)(blank - bytes) : len);
    size_t whole = newline ? (size_t)(newline - bytes) + 1 : 0;
    if (whole == 0 && from > 0)
        return journal_file_fail(file, "it does not end in lines");
    if (!journal_file_end_with(file, bytes, whole))
        return false;
    return journal_file_cut(file, bytes + whole, len - whole, from + (off_t)whole);
}

/* Whether the record that the head names stands where it says: the number of an inode may be another file's by now. */
static bool journal_file_holds(const struct journal_file *file, const struct journal_head *head)
{
    struct journal_reverse reverse;
    struct journal_line line;
    bool found = journal_reverse_open(&reverse, file->path, head) && journal_reverse_next(&reverse, &line) &&
                 (line.chain ? memcmp(line.chain, head->chain, CHAIN_LEN) == 0 : head->chain[0] == '\0');
    journal_reverse_close(&reverse);
    return found;
}

/* How much of the open file its head vouches for. */
static uint64_t journal_file_vouched(const struct journal_file *file, uint64_t inode)
{
    struct journal_head head;
    char *path = journal_head_path(file->path);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW) : -1;
    bool vouched = fd >= 0 && journal_head_read(&head, fd) && head.inode == inode && journal_file_holds(file, &head);
    if (fd >= 0)
        close(fd);
    free(path);
    return vouched ? head.size : 0;
}

/* Where the open file ends, a torn last line cut off. */
static bool journal_file_read_end(struct journal_file *file)
{
    struct stat status;
    if (fstat(file->fd, &status) != 0)
        return journal_file_fail(file, strerror(errno));
    const size_t len = status.st_size < END_MAX ? (size_t)status.st_size : END_MAX;
    const off_t from = status.st_size - (off_t)len;
    char *bytes = malloc(END_MAX);
    if (!bytes)
        return journal_file_fail(file, strerror(ENOMEM));
    file->end.inode = status.st_ino;
    file->end.size = (uint64_t)status.st_size;
    bool good = journal_file_read(file, bytes, len, from) && journal_file_resume(file, bytes, len, from);
    free(bytes);
    return good;
}

/* That file and head have their names, whatever happens. */
static bool journal_file_sync_names(struct journal_file *file)
{
    return !file->sync || journal_sibling_sync(file->path) || journal_file_fail(file, strerror(errno));
}

/* What counts as on file from now on must be on the disk: whoever wrote it may not have come to that. */
static bool journal_file_adopt_end(struct journal_file *file, struct journal_file *sibling)
{
    if (!journal_file_lock(sibling, LOCK_TRIES))
        return journal_file_fail(file, "another process writes the one that it continues");
    if (!journal_file_read_end(sibling) || sibling->end.seq < file->end.seq)
        return true;
    if (file->sync && fdatasync(sibling->fd) != 0)
        return journal_file_fail(file, strerror(errno));
    file->end = sibling->end;
    file->cut += sibling->cut;
    return true;
}

/* The file that the head names may have been renamed before its last batch was over: then it knows better than the head where it ends. */
static bool journal_file_resume_from_sibling(struct journal_file *file)
{
    struct journal_file sibling = {.path = file->path, .head = {.fd = -1}, .vouched = file->end.size};
    sibling.fd = journal_file_holds(file, &file->end) ? journal_sibling_open(file->path, file->end.inode, O_RDWR) : -1;
    if (sibling.fd < 0)
        return true;
    bool adopted = journal_file_adopt_end(file, &sibling);
    journal_file_close(&sibling);
    return adopted;
}

/* An empty file goes on behind the end that the head names; in any other its own last line says where that is. */
static bool journal_file_heed_head(struct journal_file *file)
{
    struct journal_head head;
    const uint64_t inode = file->end.inode;
    if (file->head.fd < 0 || !journal_head_read(&head, file->head.fd) || head.seq <= file->end.seq)
        return true;
    if (file->end.seq > 0) {
        log_warn("audit file %s: it ends with seq %" PRIu64 ", but its .head names %" PRIu64, file->path, file->end.seq, head.seq);
        file->missing_last = head.seq;
        return true;
    }
    file->end = head;
    file->continues = true;
    if (head.inode != inode && !journal_file_resume_from_sibling(file))
        return false;
    log_info("audit file %s: it is new, and goes on behind seq %" PRIu64, file->path, file->end.seq);
    return true;
}

/* Opens what the path names, locks it, and reads its end. */
static bool journal_file_take(struct journal_file *file, int lock_tries)
{
    struct stat status;
    if (!journal_file_create(file))
        return false;
    if (fstat(file->fd, &status) != 0)
        return journal_file_fail(file, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return journal_file_fail(file, "it is not a regular file (- is standard output)");
    if (!journal_file_lock(file, lock_tries))
        return false;
    file->vouched = journal_file_vouched(file, status.st_ino);
    return journal_file_read_end(file); /* only now: the one who held the lock may have written until now */
}

bool journal_file_open(struct journal_file *file, const char *path, bool sync)
{
    *file = (struct journal_file){.path = path, .sync = sync, .fd = -1, .head = {.fd = -1}};
    if (strcmp(path, "-") == 0) {
        file->fd = STDOUT_FILENO;
        file->is_stream = true;
        return true;
    }
    bool taken = journal_file_take(file, LOCK_TRIES);
    if (taken) {
        journal_head_file_open(&file->head, file->path);
        taken = journal_file_sync_names(file) && journal_file_heed_head(file);
    }
    if (!taken) {
        log_error("audit file %s: %s", path, file->fault);
        journal_file_close(file);
    }
    return taken;
}

void journal_file_close(struct journal_file *file)
{
    if (file->fd >= 0 && !file->is_stream)
        close(file->fd);
    file->fd = -1;
    journal_head_file_close(&file->head);
}

/* Takes away what a failed write left. Counted from the end, because somebody else may have shortened the file since we opened it. */
static bool journal_file_roll_back(struct journal_file *file)
{
    struct stat status;
    if (file->torn == 0)
        return true;
    if (fstat(file->fd, &status) != 0)
        return false;
    if (status.st_size >= (off_t)file->torn && ftruncate(file->fd, status.st_size - (off_t)file->torn) != 0)
        return false;
    file->torn = 0;
    return true;
}

/* ---- another file in its place ---- */

static bool journal_file_is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Said once. */
static bool journal_file_was_cut(struct journal_file *file, const struct stat *ours)
{
    const uint64_t size = (uint64_t)ours->st_size;
    if (ours->st_ino != file->end.inode || size >= file->end.size)
        return false;
    log_warn("audit file %s: somebody else cut it from %" PRIu64 " to %" PRIu64 " bytes", file->path, file->end.size, size);
    file->end.size = size;
    return true;
}

bool journal_file_has_moved(struct journal_file *file)
{
    struct stat ours, named;
    if (file->is_stream || fstat(file->fd, &ours) != 0)
        return false;
    if (journal_file_was_cut(file, &ours))
        return true;
    const uint64_t now_ms = clock_monotonic_ms();
    if (now_ms < file->look_at_ms && ours.st_nlink > 0)
        return false;
    file->look_at_ms = now_ms + LOOK_EVERY_MS;
    return ours.st_nlink == 0 || (stat(file->path, &named) == 0 ? !journal_file_is_same(&ours, &named) : errno == ENOENT);
}

bool journal_file_is_scarce(struct journal_file *file, uint64_t reserve, bool scarce)
{
    struct statvfs status;
    const uint64_t now_ms = clock_monotonic_ms();
    const bool is_soon = now_ms < file->measure_at_ms && (scarce || file->measure_after > 0);
    if (reserve == 0 || file->is_stream || is_soon || fstatvfs(file->fd, &status) != 0)
        return scarce;
    file->measure_at_ms = now_ms + LOOK_EVERY_MS;
    const uint64_t asked = reserve / status.f_frsize, most = status.f_blocks / RESERVE_SHARE;
    const uint64_t blocks = asked < most ? asked : most;
    file->measure_after = status.f_bavail > blocks ? (status.f_bavail - blocks) * status.f_frsize / 2 : 0;
    return status.f_bavail < blocks + (scarce ? blocks / 16 : 0);
}

/* A fault that lasts is said once; that of a file that was deleted when it cannot be written. */
static void journal_file_say_kept(struct journal_file *file, const struct journal_file *next, bool deleted)
{
    if (!deleted && strcmp(file->fault, next->fault) != 0)
        log_error("audit file %s: a new one cannot be opened: %s; the old one goes on", file->path, next->fault);
    text_copy(file->fault, sizeof(file->fault), next->fault, strlen(next->fault));
}

bool journal_file_open_next(struct journal_file *file, struct journal_file *next)
{
    struct stat ours = {0}, named;
    *next = (struct journal_file){.path = file->path, .fd = -1, .head = {.fd = -1}};
    if (fstat(file->fd, &ours) == 0 && stat(file->path, &named) == 0 && journal_file_is_same(&ours, &named))
        return true;
    if (journal_file_take(next, 1))
        return true;
    journal_file_say_kept(file, next, ours.st_nlink == 0);
    journal_file_close(next);
    return false;
}

void journal_file_replace(struct journal_file *file, struct journal_file *next)
{
    struct stat ours = {0};
    const bool deleted = fstat(file->fd, &ours) == 0 && ours.st_nlink == 0;
    if (!journal_file_roll_back(file))
        log_warn("audit file %s: %zu bytes of a torn record stay behind seq %" PRIu64 " in the old file", file->path, file->torn, file->end.seq);
    if (deleted)
        log_warn("audit file %s was deleted, with its records up to seq %" PRIu64 "; it goes on in a new file", file->path, file->end.seq);
    else
        log_info("audit file %s: goes on in a new file behind seq %" PRIu64, file->path, file->end.seq);
    close(file->fd);
    file->fd = next->fd;
    next->fd = -1;
    file->torn = 0;
    file->fault[0] = '\0';
    journal_head_file_open(&file->head, file->path);
    if (!journal_file_sync_names(file))
        log_warn("audit file %s: its directory cannot be synced: %s", file->path, file->fault);
}

/* ---- appending ---- */

/* Writes from *done on and counts there what went out. One write(2) is the rule. */
static int journal_file_write(int fd, const char *bytes, size_t len, size_t *done)
{
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    while (*done < len) {
        ssize_t wrote = write(fd, bytes + *done, len - *done);
        if (wrote > 0)
            *done += (size_t)wrote;
        else if (wrote == 0)
            return ENOSPC;
        else if (errno == EAGAIN)
            poll(&ready, 1, -1);
        else if (errno != EINTR)
            return errno;
    }
    return 0;
}

/* As many whole lines as a pipe takes in one piece or not at all: who is killed while it waits for a reader leaves no half one, in which the first of
 * its successor would get lost. Only a line that is longer than that may be torn. */
static size_t journal_file_piece(const char *bytes, size_t len)
{
    if (len <= PIPE_BUF)
        return len;
    const char *newline = memrchr(bytes, '\n', PIPE_BUF);
    if (!newline)
        newline = memchr(bytes, '\n', len);
    return newline ? (size_t)(newline - bytes) + 1 : len;
}

static int journal_file_stream(struct journal_file *file, const char *bytes, size_t len)
{
    int error = 0;
    while (error == 0 && file->streamed < len) {
        const size_t piece = journal_file_piece(bytes + file->streamed, len - file->streamed);
        error = journal_file_write(file->fd, bytes, file->streamed + piece, &file->streamed);
    }
    if (error == 0)
        file->streamed = 0;
    return error;
}

/* On success `end` is told where that is. */
static int journal_file_append_whole(struct journal_file *file, const char *bytes, size_t len, struct journal_head *end)
{
    struct stat status;
    size_t done = 0;
    if (!journal_file_roll_back(file) || fstat(file->fd, &status) != 0)
        return errno;
    if (status.st_nlink == 0)
        return ENOENT;
    int error = journal_file_write(file->fd, bytes, len, &done);
    if (error == 0 && file->sync && fdatasync(file->fd) != 0)
        error = errno; /* the kernel may have dropped it: it is taken back, and written anew */
    if (error != 0) {
        file->torn = done;
        journal_file_roll_back(file);
        return error;
    }
    end->inode = status.st_ino;
    end->size = (uint64_t)status.st_size + len;
    return 0;
}

int journal_file_append(struct journal_file *file, const char *bytes, size_t len, const struct journal_head *end)
{
    struct journal_head now = *end;
    int error = file->is_stream ? journal_file_stream(file, bytes, len) : journal_file_append_whole(file, bytes, len, &now);
    if (error != 0)
        return error;
    file->end = now;
    file->measure_after -= len < file->measure_after ? len : file->measure_after;
    journal_head_file_renew(&file->head, file->path, &file->end, file->sync);
    return 0;
}
