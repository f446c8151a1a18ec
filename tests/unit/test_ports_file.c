/* The ports file: whole and in place, or not there. */
#include "host/ports_file.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net.h"

static char directory[] = "/tmp/exeat-ports-XXXXXX";

static void enter(void)
{
    cr_assert(mkdtemp(directory) != NULL && chdir(directory) == 0);
}

static void leave(void)
{
    unlink("ports");
    unlink("ports.new");
    rmdir("ports");
    cr_expect(chdir("/") == 0 && rmdir(directory) == 0, "%s is not empty", directory);
}

TestSuite(ports_file, .init = enter, .fini = leave);

static size_t file_count(void)
{
    DIR *dir = opendir(".");
    size_t count = 0;
    cr_assert(dir != NULL);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void expect_content(const char *wanted)
{
    char got[4096] = "";
    FILE *file = fopen("ports", "re");
    cr_assert(file != NULL, "no ports file");
    got[fread(got, 1, sizeof(got) - 1, file)] = '\0';
    fclose(file);
    cr_expect_str_eq(got, wanted);
}

static void put(const char *text)
{
    FILE *file = fopen("ports", "we");
    cr_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void add(struct ports_file *ports, const char *name, const char *ip, uint16_t port)
{
    const struct endpoint at = {.ip = net_address(ip), .port = port};
    ports_file_add(ports, name, &at);
}

Test(ports_file, a_line_for_each)
{
    struct ports_file ports;
    ports_file_begin(&ports, "ports");
    add(&ports, "agents", "127.0.0.1", 3128);
    add(&ports, "agents", "2001:db8::1", 65535);
    add(&ports, "split", "0.0.0.0", 443);
    cr_expect(ports_file_end(&ports));
    expect_content("agents 127.0.0.1:3128\nagents [2001:db8::1]:65535\nsplit 0.0.0.0:443\n");
    cr_expect_eq(file_count(), 1, "more than the file is left");
}

Test(ports_file, nobody_sees_half_of_it)
{
    struct ports_file ports;
    ports_file_begin(&ports, "ports");
    for (uint16_t port = 1; port <= 1000; port++) /* more than stdio holds back */
        add(&ports, "agents", "127.0.0.1", port);
    cr_expect(access("ports", F_OK) != 0, "it is there before its end");
    cr_expect(ports_file_end(&ports));
    cr_expect(access("ports", F_OK) == 0);
}

Test(ports_file, the_old_one_stays_until_the_new_one_is_whole)
{
    struct ports_file ports;
    put("old 127.0.0.1:1\nand a longer tail\n");
    ports_file_begin(&ports, "ports");
    add(&ports, "new", "127.0.0.1", 2);
    expect_content("old 127.0.0.1:1\nand a longer tail\n");
    cr_expect(ports_file_end(&ports));
    expect_content("new 127.0.0.1:2\n");
}

Test(ports_file, without_a_path_nothing_is_written)
{
    struct ports_file ports;
    ports_file_begin(&ports, NULL);
    add(&ports, "agents", "127.0.0.1", 3128);
    cr_expect(ports_file_end(&ports));
    cr_expect_eq(file_count(), 0);
}

Test(ports_file, no_such_directory_is_said)
{
    struct ports_file ports;
    ports_file_begin(&ports, "nosuch/ports");
    add(&ports, "agents", "127.0.0.1", 3128);
    cr_expect_not(ports_file_end(&ports));
    cr_expect_eq(errno, ENOENT);
}

Test(ports_file, a_full_disk_is_said_and_the_old_one_stays)
{
    for (uint16_t lines = 1; lines <= 1000; lines += 999) { /* found at the last write, and on the way */
        struct ports_file ports;
        put("old\n");
        cr_assert(symlink("/dev/full", "ports.new") == 0);
        ports_file_begin(&ports, "ports");
        for (uint16_t port = 1; port <= lines; port++)
            add(&ports, "agents", "127.0.0.1", port);
        cr_expect_not(ports_file_end(&ports), "%u lines", lines);
        cr_expect_eq(errno, ENOSPC);
        expect_content("old\n");
        unlink("ports.new");
    }
}

Test(ports_file, what_cannot_be_renamed_is_said)
{
    struct ports_file ports;
    cr_assert(mkdir("ports", 0700) == 0);
    ports_file_begin(&ports, "ports");
    add(&ports, "agents", "127.0.0.1", 3128);
    cr_expect_not(ports_file_end(&ports));
    cr_expect_eq(errno, EISDIR);
}
