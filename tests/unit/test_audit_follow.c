/* Following a file while it is written: each whole line once, whatever becomes of the file. */
#include "audit/audit_follow.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/exeat-test-XXXXXX";
static char path[64], other[96];
static struct audit_follow *follow;

static void enter(void)
{
    cr_assert(mkdtemp(directory) != NULL);
    snprintf(path, sizeof(path), "%s/audit.jsonl", directory);
    follow = audit_follow_new(path, 0);
}

static void leave(void)
{
    char command[160];
    audit_follow_free(follow);
    snprintf(command, sizeof(command), "rm -r %s", directory);
    cr_assert_eq(system(command), 0);
}

static const char *beside(const char *ending)
{
    snprintf(other, sizeof(other), "%s%s", path, ending);
    return other;
}

static void append(const char *to, const char *bytes)
{
    int fd = open(to, O_WRONLY | O_APPEND | O_CREAT, 0600);
    cr_assert(fd >= 0 && write(fd, bytes, strlen(bytes)) == (ssize_t)strlen(bytes));
    close(fd);
}

/* Long enough to be told apart, and as much of a record as the search for files needs. */
static const char *line_of(uint64_t seq)
{
    static char line[160];
    snprintf(line, sizeof(line), "{\"v\":1,\"seq\":%" PRIu64 ",\"time\":\"2026-11-21T23:49:17.%06" PRIu64 "Z\",\"instance\":null,\"chain\":null}\n",
             seq, seq);
    return line;
}

static void append_lines(const char *to, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++)
        append(to, line_of(seq));
}

static void expect_lines(uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++) {
        struct audit_input_line line;
        const char *wanted = line_of(seq);
        cr_assert_eq(audit_follow_next(follow, &line), AUDIT_INPUT_LINE, "%" PRIu64 " did not come", seq);
        cr_assert(line.len == strlen(wanted) - 1 && memcmp(line.at, wanted, line.len) == 0, "%.*s where %" PRIu64 " should be", (int)line.len,
                  line.at, seq);
        cr_assert(!line.is_torn);
        audit_follow_set_seq(follow, seq);
    }
}

static void expect_none(void)
{
    struct audit_input_line line;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(audit_follow_next(follow, &line), AUDIT_INPUT_END, "%.*s", (int)line.len, line.at);
}

/* Records that are missing may turn up: that is asked for a while. */
static void expect_looks(void)
{
    struct audit_input_line line;
    for (int i = 0; i < AUDIT_FOLLOW_LOOKS; i++)
        cr_assert_eq(audit_follow_next(follow, &line), AUDIT_INPUT_END, "%.*s", (int)line.len, line.at);
}

TestSuite(audit_follow, .init = enter, .fini = leave);

Test(audit_follow, a_file_that_grows)
{
    expect_none();
    append(path, "");
    expect_none();
    append_lines(path, 1, 3);
    expect_lines(1, 3);
    expect_none();
    append_lines(path, 4, 4);
    expect_lines(4, 4);
    expect_none();
}

Test(audit_follow, a_line_in_pieces)
{
    for (uint64_t seq = 1; seq <= 2; seq++) {
        const char *line = line_of(seq);
        for (size_t i = 0; i + 1 < strlen(line); i++) {
            append(path, (char[]){line[i], '\0'});
            expect_none();
        }
        append(path, "\n");
        expect_lines(seq, seq);
    }
}

/* What is written to the old file behind the rename, and even when the new one is there, comes before the new file's first line. */
Test(audit_follow, renamed)
{
    append_lines(path, 1, 2);
    expect_lines(1, 2);
    rename(path, beside(".1"));
    expect_none();
    append_lines(other, 3, 3);
    expect_lines(3, 3);
    append(path, "");
    append_lines(other, 4, 4);
    expect_lines(4, 4);
    append_lines(other, 5, 6);
    append_lines(path, 7, 8);
    expect_lines(5, 8);
    expect_none();
}

Test(audit_follow, renamed_before_anything_was_read)
{
    append_lines(path, 1, 3);
    expect_lines(1, 1);
    for (int i = 1; i <= 3; i++) { /* logrotate's way: the newest is always .1 */
        for (int k = i - 1; k >= 0; k--) {
            char from[96], to[96];
            snprintf(from, sizeof(from), k > 0 ? "%s.%d" : "%s", path, k);
            snprintf(to, sizeof(to), "%s.%d", path, k + 1);
            rename(from, to);
        }
        append_lines(path, 1 + 3 * (uint64_t)i, 3 + 3 * (uint64_t)i);
    }
    append(beside(".head"), line_of(4));
    expect_lines(2, 12);
    expect_none();
}

Test(audit_follow, only_the_one_between_was_packed)
{
    char command[160];
    append_lines(path, 1, 3);
    expect_lines(1, 3);
    rename(path, beside("-a"));
    append_lines(beside("-b"), 4, 6);
    snprintf(command, sizeof(command), "gzip -f %s", other);
    cr_assert_eq(system(command), 0);
    append_lines(path, 7, 8);
    expect_lines(4, 8);
    cr_assert_str_eq(audit_follow_path(follow), path);
}

/* Half of the packed one is there, and its first record already; the whole one is there until that is complete. In which order they are found is
 * chance: hence many. */
Test(audit_follow, some_between_that_are_being_packed)
{
    char command[240], name[] = "-b";
    uint64_t last = 3;
    append_lines(path, 1, last);
    expect_lines(1, last);
    rename(path, beside("-a"));
    for (; name[1] <= 'p'; name[1]++, last += 200) {
        append_lines(beside(name), last + 1, last + 200);
        snprintf(command, sizeof(command), "gzip -c %s | head -c 800 >%s.gz", other, other);
        cr_assert_eq(system(command), 0);
    }
    append_lines(path, last + 1, last + 1);
    expect_lines(4, last + 1);
}

/* The moment in which the one that was listed is gone already, and the other was not listed yet. */
Test(audit_follow, one_between_that_turns_up_later)
{
    struct audit_input_line line;
    append_lines(path, 1, 3);
    expect_lines(1, 3);
    rename(path, beside("-a"));
    append_lines(beside("-c"), 7, 9);
    append_lines(path, 10, 11);
    cr_assert_eq(audit_follow_next(follow, &line), AUDIT_INPUT_END);
    append_lines(beside("-b"), 4, 6);
    expect_lines(4, 11);
    cr_assert_str_eq(audit_follow_path(follow), path);
}

/* … and not for ever. */
Test(audit_follow, one_between_that_stays_away)
{
    append_lines(path, 1, 3);
    expect_lines(1, 3);
    rename(path, beside("-a"));
    append_lines(path, 7, 8);
    expect_looks();
    expect_lines(7, 8);
    expect_none();
}

/* Nothing is looked for twice, whatever is in it. */
Test(audit_follow, missing)
{
    struct audit_input_line line;
    append_lines(path, 1, 1);
    expect_lines(1, 1);
    rename(path, beside("-a"));
    append_lines(beside("-b"), 4, 4);
    append(other, "torn");
    append_lines(path, 9, 9);
    expect_looks();
    expect_lines(4, 4);
    cr_assert_str_eq(audit_follow_path(follow), beside("-b"));
    cr_assert_eq(audit_follow_next(follow, &line), AUDIT_INPUT_LINE);
    cr_assert(line.is_torn);
    expect_looks();
    expect_lines(9, 9);
    expect_none();
}

Test(audit_follow, after)
{
    append_lines(beside(".1"), 5, 8);
    append_lines(path, 9, 9);
    audit_follow_set_seq(follow, 4);
    expect_lines(5, 9);
    expect_none();
}

Test(audit_follow, deleted)
{
    append_lines(path, 1, 3);
    expect_lines(1, 2);
    unlink(path);
    expect_lines(3, 3);
    expect_none();
    append_lines(path, 4, 4);
    expect_lines(4, 4);
}

Test(audit_follow, emptied)
{
    append_lines(path, 1, 3);
    expect_lines(1, 3);
    expect_none();
    cr_assert_eq(truncate(path, 0), 0);
    expect_none();
    append_lines(path, 4, 5);
    expect_lines(4, 5);
    cr_assert_eq(truncate(path, 0), 0);
    append_lines(path, 6, 6); /* shorter than it was */
    expect_lines(6, 6);
    expect_none();
    cr_assert_eq(truncate(path, 0), 0); /* noticed because something was asked for before */
    append_lines(path, 7, 20);          /* longer */
    expect_lines(7, 20);
    expect_none();
}

/* As the journal does with what a failed write left. */
Test(audit_follow, its_end_cut_off)
{
    struct stat status;
    append_lines(path, 1, 3);
    expect_lines(1, 3);
    expect_none();
    cr_assert_eq(stat(path, &status), 0);
    append(path, "{\"v\":1,\"seq\":4,\"ti");
    expect_none();
    cr_assert_eq(truncate(path, status.st_size), 0);
    append_lines(path, 4, 4);
    expect_lines(4, 4);
    append_lines(path, 5, 6);
    expect_lines(5, 6);
    cr_assert_eq(truncate(path, status.st_size), 0);
    expect_none();
    append_lines(path, 7, 8);
    expect_lines(7, 8);
    expect_none();
}

Test(audit_follow, cannot_be_read)
{
    struct audit_input_line line;
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(audit_follow_next(follow, &line), AUDIT_INPUT_FAILED);
    cr_assert_str_eq(audit_follow_fault(follow), "Is a directory");
}
