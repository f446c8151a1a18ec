/* What is read once stays what it was, also in another process. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/bundle.h"
#include "config/config.h"

#define NOBODY 65534

static char directory[] = "/tmp/exeat-bundle-XXXXXX";

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    cr_assert(file != NULL);
    fputs(text, file);
    fclose(file);
}

static void enter(void)
{
    cr_assert(mkdtemp(directory) != NULL && chdir(directory) == 0);
}

static void leave(void)
{
    static const char *const names[] = {"a.conf", "b.conf", "A.conf", ".hidden.conf", "large"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(names[i]);
    rmdir("d.conf");
    cr_expect(chdir("/") == 0 && rmdir(directory) == 0);
}

TestSuite(bundle, .init = enter, .fini = leave);

Test(bundle, a_file_is_read_once)
{
    struct bundle *bundle = bundle_new();
    write_file("a.conf", "first");
    const struct bundle_file *file = bundle_file(bundle, "a.conf");
    write_file("a.conf", "second");
    cr_expect_eq(bundle_file(bundle, "a.conf"), file);
    cr_expect_str_eq(file->bytes, "first");
    cr_expect(file->len == 5 && file->error == 0);
    bundle_free(bundle);
}

Test(bundle, what_cannot_be_read_says_why_and_stays_so)
{
    struct bundle *bundle = bundle_new();
    cr_expect_eq(bundle_file(bundle, "a.conf")->error, ENOENT);
    write_file("a.conf", "too late");
    cr_expect_eq(bundle_file(bundle, "a.conf")->error, ENOENT);
    cr_expect_eq(bundle_file(bundle, ".")->error, EISDIR);
    bundle_free(bundle);
}

Test(bundle, what_might_never_end_is_not_opened)
{
    struct bundle *bundle = bundle_new();
    cr_assert_eq(mkfifo("large", 0600), 0);
    alarm(5); /* nobody writes there */
    cr_expect_str_eq(bundle_error_text(bundle_file(bundle, "large")->error), "it is no regular file");
    cr_expect_str_eq(bundle_error_text(bundle_file(bundle, "/dev/zero")->error), "it is no regular file");
    bundle_free(bundle);
}

Test(bundle, the_default_is_there)
{
    struct bundle *bundle = bundle_new();
    const struct bundle_file *file = bundle_file(bundle, CONFIG_EMBEDDED);
    cr_assert(file != NULL && file->error == 0);
    cr_expect(strstr(file->bytes, "@buildkite") != NULL);
    bundle_free(bundle);
}

Test(bundle, globs_come_in_byte_order_and_stay)
{
    struct bundle *bundle = bundle_new();
    size_t count;
    write_file("b.conf", "");
    write_file("a.conf", "");
    write_file("A.conf", "");
    write_file(".hidden.conf", "");
    const char *const *paths = bundle_glob(bundle, "*.conf", &count);
    cr_assert_eq(count, 3);
    cr_expect_str_eq(paths[0], "A.conf");
    cr_expect_str_eq(paths[1], "a.conf");
    cr_expect_str_eq(paths[2], "b.conf");
    unlink("a.conf");
    cr_expect_eq(bundle_glob(bundle, "*.conf", &count), paths);
    cr_expect_eq(count, 3);
    cr_expect_null(bundle_glob(bundle, "nowhere/*.conf", &count));
    cr_expect(count == 0 && errno == 0);
    bundle_free(bundle);
}

/* A directory that may not be read could hold a denial. */
Test(bundle, a_locked_directory_is_not_an_empty_one)
{
    struct bundle *bundle = bundle_new();
    size_t count;
    cr_assert(mkdir("d.conf", 0) == 0 && chmod(".", 0755) == 0);
    const bool is_root = geteuid() == 0; /* who may read everything */
    cr_assert(!is_root || seteuid(NOBODY) == 0);
    cr_expect_null(bundle_glob(bundle, "d.conf/*", &count));
    cr_expect(count == 0 && errno == EACCES);
    cr_assert(!is_root || seteuid(0) == 0);
    bundle_free(bundle);
}

static struct bundle *carry(const struct bundle *bundle, off_t cut)
{
    FILE *carrier = tmpfile();
    int fd = fileno(carrier);
    cr_assert(bundle_write(bundle, fd));
    off_t end = lseek(fd, 0, SEEK_END);
    cr_assert(ftruncate(fd, end - cut) == 0);
    struct bundle *carried = bundle_read(fd);
    cr_expect_eq(lseek(fd, 0, SEEK_CUR), end, "others may be reading by the same offset");
    fclose(carrier);
    return carried;
}

Test(bundle, another_process_sees_the_same_bytes_and_no_disk)
{
    struct bundle *bundle = bundle_new();
    size_t count;
    cr_assert(bundle_put(bundle, "binary", "a\0b", 3));
    write_file("a.conf", "text");
    bundle_file(bundle, "a.conf");
    bundle_file(bundle, "missing");
    bundle_glob(bundle, "*.conf", &count);
    struct bundle *carried = carry(bundle, 0);
    cr_assert(carried != NULL);
    unlink("a.conf");
    write_file("b.conf", "later");
    cr_expect_str_eq(bundle_file(carried, "a.conf")->bytes, "text");
    cr_expect(bundle_file(carried, "binary")->len == 3 && memcmp(bundle_file(carried, "binary")->bytes, "a\0b", 3) == 0);
    cr_expect_eq(bundle_file(carried, "missing")->error, ENOENT);
    cr_expect_null(bundle_file(carried, "b.conf"));
    cr_expect_str_eq(bundle_glob(carried, "*.conf", &count)[0], "a.conf");
    cr_expect_eq(count, 1);
    cr_expect(bundle_glob(carried, "*", &count) == NULL && errno == ENOENT);
    bundle_free(carried);
    bundle_free(bundle);
}

Test(bundle, what_it_means_goes_with_it)
{
    struct bundle *bundle = bundle_new();
    struct bundle *unknown = carry(bundle, 0);
    cr_assert(bundle_set_digest(bundle, "sha256:00") && bundle_set_digest(bundle, "sha256:12"));
    struct bundle *known = carry(bundle, 0);
    cr_expect_null(bundle_digest(bundle), "its own process has to read what it judges");
    cr_expect_null(bundle_digest(unknown));
    cr_expect_str_eq(bundle_digest(known), "sha256:12");
    bundle_free(bundle);
    bundle_free(unknown);
    bundle_free(known);
}

Test(bundle, what_was_shed_is_known_but_empty)
{
    struct bundle *bundle = bundle_new();
    size_t count;
    write_file("a.conf", "text");
    bundle_file(bundle, "a.conf");
    bundle_file(bundle, "missing");
    bundle_glob(bundle, "*.conf", &count);
    bundle_shed(bundle);
    cr_expect(bundle_file(bundle, "a.conf")->bytes == NULL && bundle_file(bundle, "a.conf")->len == 0);
    cr_expect_eq(bundle_file(bundle, "a.conf")->error, ENODATA);
    cr_expect_eq(bundle_file(bundle, "missing")->error, ENOENT);
    cr_expect_null(bundle_file(bundle, "b.conf"));
    cr_expect_str_eq(bundle_glob(bundle, "*.conf", &count)[0], "a.conf");
    bundle_free(bundle);
}

Test(bundle, what_was_cut_off_is_no_bundle)
{
    struct bundle *bundle = bundle_new();
    for (off_t cut = 1; cut < 200; cut += 3)
        cr_expect_null(carry(bundle, cut), "%ld bytes cut off", (long)cut);
    bundle_free(bundle);
}

Test(bundle, replaced_bytes)
{
    struct bundle *bundle = bundle_new();
    cr_assert(bundle_put(bundle, "x", "one", 3) && bundle_put(bundle, "x", "", 0));
    cr_expect(bundle_file(bundle, "x")->len == 0 && bundle_file(bundle, "x")->bytes != NULL);
    bundle_free(bundle);
}
