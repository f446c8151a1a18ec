/* Reading an audit file by lines: of any length, over any border of a buffer, however it is packed or handed over. */
#include "audit/audit_input.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/record.h"

static char path[] = "/tmp/exeat-test-XXXXXX";

static void write_file(const char *bytes, size_t len)
{
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

static struct audit_input *open_bytes(const char *bytes, size_t len)
{
    write_file(bytes, len);
    struct audit_input *input = audit_input_open(path);
    cr_assert(input != NULL);
    unlink(path);
    return input;
}

static void expect_line(struct audit_input *input, const char *bytes, size_t len, bool is_torn)
{
    struct audit_input_line line;
    cr_assert_eq(audit_input_next(input, &line), AUDIT_INPUT_LINE);
    cr_assert_eq(line.len, len < RECORD_MAX ? len : RECORD_MAX, "%zu bytes", line.len);
    cr_assert(memcmp(line.at, bytes, line.len) == 0);
    cr_assert_eq(line.is_torn, is_torn);
}

static void expect_end(struct audit_input *input)
{
    struct audit_input_line line;
    cr_assert_eq(audit_input_next(input, &line), AUDIT_INPUT_END);
    audit_input_close(input);
}

Test(audit_input, lines)
{
    static const char bytes[] = "one\n\nthree\nfo\0r\nfive";
    struct audit_input *input = open_bytes(bytes, sizeof(bytes) - 1);
    expect_line(input, "one", 3, false);
    expect_line(input, "", 0, false);
    expect_line(input, "three", 5, false);
    expect_line(input, "fo\0r", 4, false);
    expect_line(input, "five", 4, true);
    cr_assert_eq(audit_input_position(input), sizeof(bytes) - 1);
    expect_end(input);
}

Test(audit_input, empty)
{
    expect_end(open_bytes("", 0));
}

Test(audit_input, one_byte)
{
    struct audit_input *input = open_bytes("\n", 1);
    expect_line(input, "", 0, false);
    expect_end(input);
}

/* Lines around the longest record and around the size of the buffer, with short ones between them. */
Test(audit_input, any_length)
{
    static const size_t lengths[] = {RECORD_MAX - 1, RECORD_MAX, RECORD_MAX + 1, 262143, 262144, 262145, 700000, 253951, 8191, 1, 0, 8192, 600000};
    const size_t count = sizeof(lengths) / sizeof(lengths[0]);
    char *bytes = malloc(4 * 1024 * 1024);
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        memset(bytes + len, 'a' + (int)i, lengths[i]);
        len += lengths[i] + 3;
        memcpy(bytes + len - 3, "\n.\n", 3);
    }
    struct audit_input *input = open_bytes(bytes, len);
    for (size_t i = 0; i < count; i++) {
        memset(bytes, 'a' + (int)i, lengths[i]);
        expect_line(input, bytes, lengths[i], false);
        expect_line(input, ".", 1, false);
    }
    expect_end(input);
    free(bytes);
}

/* printf 'one\ntwo\n' | gzip -n, twice. */
static const unsigned char PACKED[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xcb, 0xcf, 0x4b, 0xe5,
                                       0x2a, 0x29, 0xcf, 0xe7, 0x02, 0x00, 0xe6, 0x0b, 0xba, 0x12, 0x08, 0x00, 0x00, 0x00};

Test(audit_input, gzip_of_several_members)
{
    char bytes[2 * sizeof(PACKED)];
    memcpy(bytes, PACKED, sizeof(PACKED));
    memcpy(bytes + sizeof(PACKED), PACKED, sizeof(PACKED));
    struct audit_input *input = open_bytes(bytes, sizeof(bytes));
    for (int i = 0; i < 2; i++) {
        expect_line(input, "one", 3, false);
        expect_line(input, "two", 3, false);
    }
    expect_end(input);
}

static void expect_failure(const char *bytes, size_t len)
{
    struct audit_input_line line;
    enum audit_input_result result;
    struct audit_input *input = open_bytes(bytes, len);
    while ((result = audit_input_next(input, &line)) == AUDIT_INPUT_LINE)
        continue;
    cr_expect_eq(result, AUDIT_INPUT_FAILED, "%zu bytes", len);
    cr_expect(audit_input_fault(input) != NULL);
    audit_input_close(input);
    memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
}

/* Cut off anywhere, or followed by something else. */
Test(audit_input, damaged_gzip)
{
    char bytes[sizeof(PACKED) + 1];
    memcpy(bytes, PACKED, sizeof(PACKED));
    for (size_t len = 2; len < sizeof(PACKED); len++)
        expect_failure(bytes, len);
    bytes[sizeof(PACKED)] = 'x';
    expect_failure(bytes, sizeof(bytes));
    bytes[22] ^= 1;
    expect_failure(bytes, sizeof(PACKED));
}

static void *write_slowly(void *fifo)
{
    int fd = open(fifo, O_WRONLY);
    for (size_t i = 0; i < sizeof(PACKED); i++)
        if (write(fd, PACKED + i, 1) != 1)
            break;
    close(fd);
    return NULL;
}

Test(audit_input, byte_by_byte_from_a_pipe)
{
    int ends[2];
    char name[64];
    pthread_t writer;
    cr_assert_eq(pipe(ends), 0);
    snprintf(name, sizeof(name), "/dev/fd/%d", ends[0]);
    char other[64];
    snprintf(other, sizeof(other), "/dev/fd/%d", ends[1]);
    struct audit_input *input = audit_input_open(name);
    cr_assert(input != NULL);
    pthread_create(&writer, NULL, write_slowly, other);
    struct audit_input_line line;
    cr_assert_eq(audit_input_next(input, &line), AUDIT_INPUT_LINE);
    pthread_join(writer, NULL);
    close(ends[1]);
    expect_line(input, "two", 3, false);
    expect_end(input);
    close(ends[0]);
}

static void *finish_line(void *arg)
{
    usleep(30000);
    cr_assert_eq(write(*(int *)arg, "ne\n", 3), 3);
    return NULL;
}

/* The journal was in the middle of a line. */
Test(audit_input, line_that_is_being_written)
{
    pthread_t writer;
    write_file("o", 1);
    int fd = open(path, O_WRONLY | O_APPEND);
    struct audit_input *input = audit_input_open(path);
    pthread_create(&writer, NULL, finish_line, &fd);
    expect_line(input, "one", 3, false);
    pthread_join(writer, NULL);
    expect_end(input);
    close(fd);
    unlink(path);
}

Test(audit_input, what_cannot_be_read)
{
    struct audit_input_line line;
    cr_assert(audit_input_open("/nowhere/audit.jsonl") == NULL);
    struct audit_input *input = audit_input_open("/");
    cr_assert(input != NULL);
    cr_assert_eq(audit_input_next(input, &line), AUDIT_INPUT_FAILED);
    audit_input_close(input);
}
