/* The lines of the journal from the last to the first, over files that were rotated away and still stand beside the one that is written. */
#include "audit/journal_reverse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/journal_gist.h"
#include "audit/journal_own.h"
#include "audit/journal_sibling.h"
#include "audit/record.h"

#define CHUNK_SIZE (256u << 10)
#define BUFFER_SIZE (CHUNK_SIZE + RECORD_MAX)

static bool journal_reverse_read(const struct journal_reverse *reverse, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t got = pread(reverse->fd, reverse->buffer + done, len - done, (off_t)(reverse->at + done));
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        if (got > 0)
            done += (size_t)got;
    }
    return true;
}

/* Puts the piece of the file before what is in the buffer in front of it. False: there is none, or what is in the buffer is longer than a line. */
static bool journal_reverse_fill(struct journal_reverse *reverse)
{
    const size_t len = reverse->at < CHUNK_SIZE ? (size_t)reverse->at : CHUNK_SIZE;
    if (len == 0 || reverse->len > RECORD_MAX)
        return false;
    memmove(reverse->buffer + len, reverse->buffer, reverse->len);
    reverse->at -= len;
    reverse->len += len;
    return journal_reverse_read(reverse, len);
}

/* The file with this inode, from `size` back to its beginning. */
static bool journal_reverse_enter(struct journal_reverse *reverse, uint64_t inode, uint64_t size)
{
    struct stat status;
    if (reverse->fd >= 0)
        close(reverse->fd);
    reverse->fd = inode ? journal_sibling_open(reverse->path, inode, O_RDONLY) : -1;
    reverse->inode = 0;
    reverse->len = 0;
    if (reverse->fd < 0 || fstat(reverse->fd, &status) != 0)
        return false;
    reverse->at = size < (uint64_t)status.st_size ? size : (uint64_t)status.st_size;
    return true;
}

bool journal_reverse_open(struct journal_reverse *reverse, const char *path, const struct journal_head *end)
{
    *reverse = (struct journal_reverse){.path = path, .fd = -1, .seq = end->seq, .buffer = malloc(BUFFER_SIZE)};
    if (reverse->buffer && end->seq > 0 && journal_reverse_enter(reverse, end->inode, end->size))
        return true;
    journal_reverse_close(reverse);
    return false;
}

void journal_reverse_close(struct journal_reverse *reverse)
{
    if (reverse->buffer && reverse->fd >= 0)
        close(reverse->fd);
    free(reverse->buffer);
    *reverse = (struct journal_reverse){0};
}

/* The bytes of the last line in the buffer, taken out of it, its newline left out. */
static bool journal_reverse_take(struct journal_reverse *reverse, const char **line, size_t *len)
{
    const char *newline = NULL;
    if (reverse->len == 0 && !journal_reverse_fill(reverse))
        return false;
    while (!(newline = memrchr(reverse->buffer, '\n', reverse->len - 1)) && reverse->at > 0) {
        if (!journal_reverse_fill(reverse))
            return false;
    }
    const size_t begin = newline ? (size_t)(newline - reverse->buffer) + 1 : 0;
    *line = reverse->buffer + begin;
    *len = reverse->len - 1 - begin;
    bool whole = reverse->buffer[reverse->len - 1] == '\n';
    reverse->len = begin;
    return whole;
}

bool journal_reverse_next(struct journal_reverse *reverse, struct journal_line *line)
{
    const char *bytes;
    size_t len;
    if (reverse->seq == 0)
        return false;
    if (reverse->at == 0 && reverse->len == 0 && !journal_reverse_enter(reverse, reverse->inode, UINT64_MAX))
        return false;
    if (!journal_reverse_take(reverse, &bytes, &len) || !journal_line_read(line, bytes, len) || line->seq != reverse->seq)
        return false;
    struct journal_gist gist = journal_gist_read(line->text, line->len);
    reverse->inode = gist.kind == GIST_ROTATE ? journal_own_continued(gist.detail, gist.detail_len) : 0;
    reverse->seq--;
    return true;
}
