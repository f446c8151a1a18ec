/* The file of [audit] sign_key: whose it is, and what is in it. */
#include "config/sign_key.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rfc_key.h"

static char path[64];
static char at[] = "exeat.conf:7";
static struct fault_list *faults;

static void setup(void)
{
    snprintf(path, sizeof(path), "/tmp/exeat-key-XXXXXX");
    close(mkstemp(path));
    faults = fault_list_new();
}

static void teardown(void)
{
    fault_list_free(faults);
    unlink(path);
    rmdir(path);
}

TestSuite(sign_key, .init = setup, .fini = teardown);

static void file_write(const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    chmod(path, mode);
}

static void file_write_key(mode_t mode)
{
    char pem[ED25519_PEM_MAX];
    rfc_key_private_pem(pem);
    file_write(pem, mode);
}

static int open_it(bool must)
{
    const struct audit_settings audit = {.sign_key = path, .sign_key_at = at};
    return sign_key_open(&audit, must, faults);
}

static void expect_fault(const char *what)
{
    char expected[512];
    const size_t count = fault_count(faults);
    snprintf(expected, sizeof(expected), "exeat.conf:7: [audit] sign_key: %s %s", path, what);
    cr_expect_eq(open_it(true), -1);
    cr_assert_eq(fault_count(faults), count + 1, "no fault: %s", what);
    cr_expect_str_eq(fault_text(faults, count), expected);
}

Test(sign_key, none_is_asked_for)
{
    cr_expect_eq(sign_key_open(&(struct audit_settings){0}, true, faults), -1);
    cr_expect_eq(fault_count(faults), 0);
}

Test(sign_key, is_read_from_its_beginning_as_often_as_needed)
{
    file_write_key(0640);
    int fd = open_it(true);
    cr_assert_geq(fd, 0, "%s", fault_text(faults, 0));
    cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC, "the server must not get it");
    for (int i = 0; i < 2; i++) {
        struct ed25519_key *key = sign_key_read(fd);
        cr_assert(key);
        cr_expect_str_eq(ed25519_id(key), RFC_KEY_ID);
        ed25519_free(key);
    }
    close(fd);
}

Test(sign_key, others_may_not_change_it)
{
    static const mode_t modes[] = {0602, 0620, 0660, 0666};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        char what[128];
        file_write_key(modes[i]);
        snprintf(what, sizeof(what), "has mode %04o: others could put another in its place; allowed: 0600, or 0640", (unsigned)modes[i]);
        expect_fault(what);
    }
}

Test(sign_key, whom_others_can_read_is_warned)
{
    file_write_key(0644);
    int fd = open_it(true);
    cr_assert_geq(fd, 0);
    close(fd);
    cr_expect_eq(fault_count(faults), 0);
    cr_expect_eq(fault_warnings(faults), 1);
}

Test(sign_key, must_hold_a_key)
{
    static const char *const what = "holds no such key; allowed: an Ed25519 private key in PEM (PKCS#8), not encrypted";
    char pem[ED25519_PEM_MAX];
    file_write("", 0600);
    expect_fault(what);
    rfc_key_pem(pem, "PUBLIC KEY", "302a300506032b6570032100", RFC_KEY_PUBLIC);
    file_write(pem, 0600);
    expect_fault(what);
}

Test(sign_key, must_be_a_file)
{
    unlink(path);
    expect_fault("cannot be read: No such file or directory");
    mkfifo(path, 0600);
    expect_fault("is not a regular file");
    unlink(path);
    mkdir(path, 0700);
    expect_fault("is not a regular file");
}

Test(sign_key, who_only_checks_need_not_be_able_to_read_it)
{
    file_write_key(0600);
    if (geteuid() == 0 && (chown(path, 0, 0) != 0 || seteuid(65534) != 0))
        cr_skip_test("cannot become somebody else");
    if (access(path, R_OK) == 0 && geteuid() != 65534)
        chmod(path, 0);
    cr_expect_eq(open_it(false), -1);
    cr_expect_eq(fault_count(faults), 0);
    cr_expect_eq(fault_warnings(faults), 1);
    expect_fault("cannot be read: Permission denied");
    if (geteuid() == 65534)
        cr_assert_eq(seteuid(0), 0);
}
