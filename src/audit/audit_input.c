/* An audit file opened for reading, gzip'd or not: line by line, in constant memory. */
#include "audit/audit_input.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "audit/record.h"
#include "base/clock.h"

#define BYTES_SIZE (256 * 1024)
#define PACKED_SIZE (64 * 1024)
#define GZIP_WINDOW (15 + 16) /* zlib's way to say: a gzip header, and nothing else */
#define LIVE_TRIES 5
#define LIVE_PAUSE_MS 20

static_assert(BYTES_SIZE > PACKED_SIZE && PACKED_SIZE > RECORD_MAX, "the first piece goes from one buffer to the other, and a line fits");

struct audit_input {
    int fd;
    bool is_file; /* not a pipe: what is at its end now may not stay its end */
    bool is_growing;
    bool is_long; /* the line at `begin` is too long; what is past RECORD_MAX of it is thrown away */
    uint64_t position;
    uint64_t offset; /* of the line at `begin` */
    uint64_t number;
    const char *fault;
    char *bytes; /* the rest of what was read: from `begin` to `end`, with no newline before `seen` */
    size_t begin, seen, end;
    uint8_t *packed; /* NULL: the file is no gzip */
    z_stream unpacking;
    bool is_between; /* behind one gzip member: another follows, or the file ends */
};

static bool audit_input_fail(struct audit_input *input, const char *fault)
{
    input->fault = fault;
    return false;
}

/* Up to `room` bytes of the file itself; 0 at its end, -1 on a fault (so for all that read here). */
static ssize_t audit_input_read(struct audit_input *input, void *into, size_t room)
{
    for (;;) {
        ssize_t got = read(input->fd, into, room);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            audit_input_fail(input, strerror(errno));
        else
            input->position += (uint64_t)got;
        return got;
    }
}

static ssize_t audit_input_torn(struct audit_input *input)
{
    audit_input_fail(input, "its gzip data end in the middle");
    return -1;
}

/* One step of zlib over what is there. False: a fault. */
static bool audit_input_unpack_step(struct audit_input *input)
{
    if (input->is_between)
        inflateReset(&input->unpacking);
    input->is_between = false;
    int status = inflate(&input->unpacking, Z_NO_FLUSH);
    if (status == Z_STREAM_END)
        input->is_between = true;
    else if (status != Z_OK && status != Z_BUF_ERROR)
        return audit_input_fail(input, input->unpacking.msg != NULL ? input->unpacking.msg : "damaged gzip data");
    return true;
}

static ssize_t audit_input_unpack(struct audit_input *input, void *into, size_t room)
{
    z_stream *unpacking = &input->unpacking;
    unpacking->next_out = into;
    unpacking->avail_out = (uInt)room;
    while (unpacking->avail_out == room) {
        if (unpacking->avail_in == 0) {
            ssize_t got = audit_input_read(input, input->packed, PACKED_SIZE);
            if (got == 0 && !input->is_between)
                return audit_input_torn(input);
            if (got <= 0)
                return got;
            unpacking->next_in = input->packed;
            unpacking->avail_in = (uInt)got;
        }
        if (!audit_input_unpack_step(input))
            return -1;
    }
    return (ssize_t)(room - unpacking->avail_out);
}

/* Makes room behind what is left, and fills it. */
static ssize_t audit_input_fill(struct audit_input *input)
{
    size_t left = input->end - input->begin;
    memmove(input->bytes, input->bytes + input->begin, left);
    input->begin = 0;
    if (input->is_long && left > RECORD_MAX)
        left = RECORD_MAX;
    input->seen = input->end = left;
    ssize_t got = input->packed != NULL ? audit_input_unpack(input, input->bytes + left, BYTES_SIZE - left)
                                        : audit_input_read(input, input->bytes + left, BYTES_SIZE - left);
    if (got > 0)
        input->end += (size_t)got;
    return got;
}

/* What was read already are the first bytes of a gzip file. */
static bool audit_input_begin_gzip(struct audit_input *input)
{
    input->packed = malloc(PACKED_SIZE);
    if (input->packed == NULL || inflateInit2(&input->unpacking, GZIP_WINDOW) != Z_OK) {
        free(input->packed);
        input->packed = NULL;
        return audit_input_fail(input, strerror(ENOMEM));
    }
    memcpy(input->packed, input->bytes, input->end);
    input->unpacking.next_in = input->packed;
    input->unpacking.avail_in = (uInt)input->end;
    input->end = 0;
    return true;
}

/* Reads as much as tells what the file is: a pipe may give one byte alone. */
static bool audit_input_begin(struct audit_input *input)
{
    ssize_t got = 1;
    while (got > 0 && input->end < 2) {
        got = audit_input_read(input, input->bytes + input->end, PACKED_SIZE - input->end);
        if (got > 0)
            input->end += (size_t)got;
    }
    if (got < 0)
        return false;
    return input->end < 2 || memcmp(input->bytes, "\x1f\x8b", 2) != 0 || audit_input_begin_gzip(input);
}

struct audit_input *audit_input_open(const char *path)
{
    struct stat status;
    struct audit_input *input = calloc(1, sizeof(*input));
    if (input == NULL)
        return NULL;
    input->bytes = malloc(BYTES_SIZE);
    input->fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (input->bytes == NULL || input->fd < 0 || fstat(input->fd, &status) != 0) {
        const int error = errno;
        audit_input_close(input);
        errno = error;
        return NULL;
    }
    input->is_file = S_ISREG(status.st_mode);
    return input;
}

void audit_input_close(struct audit_input *input)
{
    if (input == NULL)
        return;
    if (input->fd >= 0)
        close(input->fd);
    if (input->packed != NULL)
        inflateEnd(&input->unpacking);
    free(input->packed);
    free(input->bytes);
    free(input);
}

static bool audit_input_may_grow(const struct audit_input *input)
{
    return input->is_file && input->packed == NULL;
}

/* The same as fill, but at the end of a file that may be in the middle of being written. */
static ssize_t audit_input_wait(struct audit_input *input)
{
    ssize_t got = audit_input_fill(input);
    for (int tries = 0; got == 0 && audit_input_may_grow(input) && input->end > 0 && tries < LIVE_TRIES; tries++) {
        clock_pause_ms(LIVE_PAUSE_MS);
        got = audit_input_fill(input);
    }
    return got;
}

/* Gives out what stands from `begin` up to `stop`; `next` is where the following line begins. */
static enum audit_input_result audit_input_give(struct audit_input *input, struct audit_input_line *out, size_t stop, size_t next)
{
    size_t len = stop - input->begin;
    *out = (struct audit_input_line){
        .at = input->bytes + input->begin, .len = len < RECORD_MAX ? len : RECORD_MAX, .number = ++input->number, .is_torn = next == stop};
    input->begin = input->seen = next;
    input->offset = input->position - (input->end - next);
    input->is_long = false;
    return AUDIT_INPUT_LINE;
}

enum audit_input_result audit_input_next(struct audit_input *input, struct audit_input_line *out)
{
    if (input->position == 0 && !audit_input_begin(input))
        return AUDIT_INPUT_FAILED;
    for (;;) {
        const char *newline = memchr(input->bytes + input->seen, '\n', input->end - input->seen);
        if (newline != NULL)
            return audit_input_give(input, out, (size_t)(newline - input->bytes), (size_t)(newline - input->bytes) + 1);
        input->is_long = input->end - input->begin > RECORD_MAX;
        const bool is_growing = input->is_growing && audit_input_may_grow(input);
        ssize_t got = is_growing ? audit_input_fill(input) : audit_input_wait(input);
        if (got < 0 || (got == 0 && is_growing && !audit_input_seek(input, input->offset)))
            return AUDIT_INPUT_FAILED;
        if (got == 0 && input->begin == input->end)
            return AUDIT_INPUT_END;
        if (got == 0)
            return audit_input_give(input, out, input->end, input->end);
    }
}

void audit_input_set_growing(struct audit_input *input, bool is_growing)
{
    input->is_growing = is_growing;
}

bool audit_input_seek(struct audit_input *input, uint64_t offset)
{
    if (lseek(input->fd, (off_t)offset, SEEK_SET) < 0)
        return audit_input_fail(input, strerror(errno));
    input->position = input->offset = offset;
    input->begin = input->seen = input->end = 0;
    input->is_long = false;
    if (offset == 0)
        input->number = 0;
    return true;
}

uint64_t audit_input_offset(const struct audit_input *input)
{
    return input->offset;
}

int audit_input_fd(const struct audit_input *input)
{
    return input->fd;
}

uint64_t audit_input_position(const struct audit_input *input)
{
    return input->position;
}

const char *audit_input_fault(const struct audit_input *input)
{
    return input->fault;
}
