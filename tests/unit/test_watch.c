/* Files of a configuration that change, are replaced, come and go, and those that are nobody's business. */
#include "host/watch.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

#define PATIENCE_MS 10000

static char directory[64];
static struct bundle *bundle;
static struct watch *watch;

static const char *at(const char *name)
{
    static char paths[4][160];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(at(name), "w");
    cr_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* Reads a.conf, more/b.hosts through a link, what conf.d/ holds, and asks for one that is not there. */
static void read_all(void)
{
    size_t count;
    const char *const *paths;
    bundle_free(bundle);
    bundle = bundle_new();
    cr_assert(bundle != NULL && bundle_file(bundle, at("a.conf")) != NULL && bundle_file(bundle, at("link.hosts")) != NULL &&
              bundle_file(bundle, at("missing.hosts")) != NULL);
    paths = bundle_glob(bundle, at("conf.d/*.conf"), &count);
    for (size_t i = 0; paths != NULL && i < count; i++)
        cr_assert(bundle_file(bundle, paths[i]) != NULL);
    watch_set(watch, bundle, clock_monotonic_ms());
}

static void begin(void)
{
    strcpy(directory, "/tmp/exeat-watch-XXXXXX");
    cr_assert(mkdtemp(directory) != NULL && mkdir(at("conf.d"), 0700) == 0 && mkdir(at("more"), 0700) == 0);
    put("a.conf", "one");
    put("more/b.hosts", "one");
    cr_assert(symlink("more/b.hosts", at("link.hosts")) == 0);
    watch = watch_new();
    cr_assert_not_null(watch);
    read_all();
}

static void end(void)
{
    char command[128];
    watch_free(watch);
    bundle_free(bundle);
    bundle = NULL;
    snprintf(command, sizeof(command), "rm -r %s", directory);
    cr_assert_eq(system(command), 0);
}

TestSuite(watch, .init = begin, .fini = end);

/* Until it is due, or has looked and rests: then it is not. */
static bool is_due(void)
{
    const uint64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;
    for (uint64_t now_ms; (now_ms = clock_monotonic_ms()) < until_ms;) {
        const uint64_t at_ms = watch_at_ms(watch);
        struct pollfd fd = {.fd = watch_fd(watch), .events = POLLIN};
        const int wait_ms = at_ms == UINT64_MAX ? 300 : at_ms > now_ms ? (int)(at_ms - now_ms) : 0;
        if (poll(&fd, 1, wait_ms) > 0)
            watch_heard(watch, clock_monotonic_ms());
        else if (at_ms == UINT64_MAX)
            return false;
        if (watch_is_due(watch, clock_monotonic_ms()))
            return true;
    }
    return false;
}

Test(watch, at_rest_nothing_is_due)
{
    cr_expect_not(is_due());
}

Test(watch, a_file_that_is_written)
{
    cr_expect_not(is_due());
    put("a.conf", "two");
    cr_expect(is_due());
    cr_expect_not(is_due(), "once for each change");
    read_all();
    cr_expect_not(is_due());
}

Test(watch, a_file_that_is_replaced)
{
    cr_expect_not(is_due());
    put("new", "two");
    cr_assert(rename(at("new"), at("a.conf")) == 0);
    cr_expect(is_due());
}

Test(watch, a_file_that_changed_before_anybody_watched)
{
    put("a.conf", "between reading and watching");
    cr_expect(is_due());
}

Test(watch, a_file_that_goes_and_one_that_comes)
{
    cr_expect_not(is_due());
    cr_assert(unlink(at("a.conf")) == 0);
    cr_expect(is_due());
    read_all();
    put("missing.hosts", "here");
    cr_expect(is_due());
}

/* Nobody opens a socket, root neither. */
Test(watch, one_that_is_there_and_cannot_be_opened_is_told_once)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(name.sun_path, sizeof(name.sun_path), "%s", at("missing.hosts"));
    cr_assert(fd >= 0 && bind(fd, (const struct sockaddr *)&name, sizeof(name)) == 0);
    cr_expect(is_due());
    read_all();
    cr_expect_not(is_due());
    close(fd);
}

Test(watch, one_that_others_may_read_now)
{
    cr_expect_not(is_due());
    cr_assert(chmod(at("a.conf"), 0640) == 0);
    cr_expect(is_due());
}

Test(watch, one_more_that_a_pattern_names)
{
    cr_expect_not(is_due());
    put("conf.d/more.conf", "");
    cr_expect(is_due());
    read_all();
    put("conf.d/none-of-it.txt", "");
    cr_expect_not(is_due());
}

Test(watch, what_a_link_leads_to)
{
    cr_expect_not(is_due());
    put("more/b.hosts", "two");
    cr_expect(is_due());
    read_all();
    put("more/c.hosts", "three");
    cr_assert(symlink("more/c.hosts", at("new")) == 0 && rename(at("new"), at("link.hosts")) == 0);
    cr_expect(is_due());
}

/* As releases are switched: what stands in the directory of the file stays as it was. */
Test(watch, a_directory_that_is_a_link)
{
    cr_assert(mkdir(at("now"), 0700) == 0 && mkdir(at("now/r1"), 0700) == 0 && mkdir(at("now/r2"), 0700) == 0);
    put("now/r1/b.hosts", "one");
    put("now/r2/b.hosts", "two");
    cr_assert(symlink("r1", at("now/current")) == 0 && unlink(at("link.hosts")) == 0 && symlink("now/current/b.hosts", at("link.hosts")) == 0);
    read_all();
    cr_expect_not(is_due());
    cr_assert(symlink("r2", at("now/new")) == 0 && rename(at("now/new"), at("now/current")) == 0);
    cr_expect(is_due());
}

Test(watch, links_that_lead_nowhere_but_to_each_other)
{
    cr_assert(unlink(at("link.hosts")) == 0 && symlink("loop", at("link.hosts")) == 0 && symlink("link.hosts", at("loop")) == 0);
    read_all();
    cr_expect_not(is_due());
    put("new", "an end");
    cr_assert(rename(at("new"), at("loop")) == 0);
    cr_expect(is_due());
}

Test(watch, other_files_beside_are_nothing)
{
    cr_expect_not(is_due());
    put("audit.jsonl", "{}");
    put("audit.jsonl", "{}{}");
    cr_expect_not(is_due());
}

Test(watch, as_long_as_they_change_nobody_reads)
{
    cr_expect_not(is_due());
    for (int i = 0; i < 5; i++) {
        char text[24];
        snprintf(text, sizeof(text), "%.*s", i + 1, "parts"); /* longer each time: a file's times may be no finer than the kernel's tick */
        put("a.conf", text);
        watch_heard(watch, clock_monotonic_ms() - 1000);
        cr_expect_not(watch_is_due(watch, clock_monotonic_ms()), "%d", i);
    }
    cr_expect(is_due());
}
