/* The file that is kept for the next start: read when it is one, replaced as a whole. */
#include "host/state_file.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[] = "/tmp/exeat-state-XXXXXX";

static void enter(void)
{
    cr_assert(mkdtemp(directory) != NULL && chdir(directory) == 0);
}

static void leave(void)
{
    unlink("state");
    unlink("state.new");
    unlink("target");
    cr_expect(chdir("/") == 0 && rmdir(directory) == 0, "%s is not empty", directory);
}

TestSuite(state_file, .init = enter, .fini = leave);

static int memory_of(const char *text)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    return fd;
}

static int status_of(pid_t pid)
{
    int status = -1;
    cr_assert(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect_content(const char *path, const char *wanted)
{
    char text[128] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert(fd >= 0);
    ssize_t got = read(fd, text, sizeof(text) - 1);
    cr_expect(got == (ssize_t)strlen(wanted) && strcmp(text, wanted) == 0, "%s", text);
    close(fd);
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

Test(state_file, what_was_written_is_read)
{
    struct stat status;
    cr_expect(state_file_open("state") < 0 && errno == ENOENT);
    int fd = memory_of(STATE_FILE_HEAD "first\n"); /* its offset is at its end: all of it is written */
    cr_expect(status_of(state_file_write("state", fd)) == 0);
    expect_content("state", STATE_FILE_HEAD "first\n");
    cr_expect(stat("state", &status) == 0 && (status.st_mode & 0777) == 0640 && stat("state.new", &status) != 0);
    int read_fd = state_file_open("state");
    cr_expect(read_fd >= 0);
    close(read_fd);
    close(fd);
}

Test(state_file, another_file_is_not_opened)
{
    write_file("state", "precious data that is somebody's");
    cr_expect(state_file_open("state") < 0 && errno == EINVAL);
    write_file("state", "exeat rules 2\n");
    cr_expect(state_file_open("state") < 0 && errno == EINVAL);
    write_file("state", "");
    int fd = state_file_open("state");
    cr_expect(fd >= 0, "an empty one holds nothing to lose");
    close(fd);
    cr_expect(state_file_open("/dev/null") < 0 && errno == EINVAL);
    cr_expect(state_file_open(".") < 0 && errno == EINVAL);
}

Test(state_file, a_link_in_the_way_is_not_written_through)
{
    write_file("target", "precious");
    cr_assert(symlink("target", "state.new") == 0);
    int fd = memory_of(STATE_FILE_HEAD);
    cr_expect(status_of(state_file_write("state", fd)) == 0);
    expect_content("target", "precious");
    expect_content("state", STATE_FILE_HEAD);
    close(fd);
}

Test(state_file, what_cannot_be_written_leaves_the_old_one)
{
    write_file("state", STATE_FILE_HEAD "old\n");
    int fd = memory_of(STATE_FILE_HEAD "new\n");
    cr_expect(status_of(state_file_write("nowhere/state", fd)) == 1);
    cr_assert(mkdir("state.new", 0700) == 0);
    cr_expect(status_of(state_file_write("state", fd)) == 1);
    cr_assert(rmdir("state.new") == 0);
    expect_content("state", STATE_FILE_HEAD "old\n");
    close(fd);
}

Test(state_file, who_waits_does_not_wait_for_ever)
{
    pid_t hangs = fork();
    if (hangs == 0) {
        pause();
        _exit(0);
    }
    state_file_wait(hangs, 20);
    cr_expect(kill(hangs, SIGKILL) == 0, "it is there still");
    state_file_wait(hangs, 20000);
    cr_expect(waitpid(hangs, NULL, 0) < 0 && errno == ECHILD, "and was collected at its end");
}
