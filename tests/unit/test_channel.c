/* The channel between our processes: whole messages in order, a descriptor beside them, and an end that is told apart from nothing yet. */
#include "host/channel.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

static int ends[2];

static void open_pair(void)
{
    cr_assert(channel_pair(ends));
}

static void close_pair(void)
{
    close(ends[0]);
    close(ends[1]);
}

TestSuite(channel, .init = open_pair, .fini = close_pair, .timeout = 60);

static bool is_close_on_exec(int fd)
{
    return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static void say(uint32_t a, const char *text)
{
    struct channel_message message = {.kind = CHANNEL_CONFIG, .a = a, .fd = -1};
    memcpy(message.text, text, strlen(text));
    cr_assert(channel_send(ends[0], &message));
}

/* What every message of the tests begins with, so that nothing is right only because it was zero before. */
static struct channel_message dirty_message(void)
{
    struct channel_message message;
    memset(&message, 0xa5, sizeof(message));
    return message;
}

Test(channel, carries_words_and_text_both_ways)
{
    struct channel_message sent = {.kind = CHANNEL_FILE, .a = 0xfffffffe, .b = 7, .fd = -1, .text = "/tmp/audit one.jsonl"};
    for (int from = 0; from < 2; from++) {
        struct channel_message got = dirty_message();
        cr_assert(channel_send(ends[from], &sent));
        cr_assert_eq(channel_receive(ends[!from], &got, true), 1);
        cr_expect(got.kind == CHANNEL_FILE && got.a == 0xfffffffe && got.b == 7);
        cr_expect_str_eq(got.text, "/tmp/audit one.jsonl");
        cr_expect_eq(got.fd, -1);
    }
}

Test(channel, tell_has_no_text)
{
    struct channel_message got = dirty_message();
    cr_assert(channel_tell(ends[0], CHANNEL_LISTENER, 3, 4, -1));
    cr_assert_eq(channel_receive(ends[1], &got, true), 1);
    cr_expect(got.kind == CHANNEL_LISTENER && got.a == 3 && got.b == 4 && got.fd == -1);
    cr_expect_str_empty(got.text);
}

Test(channel, messages_do_not_run_together)
{
    struct channel_message got = dirty_message();
    say(1, "a long text that goes first");
    say(2, "short");
    say(3, "");
    cr_expect(channel_receive(ends[1], &got, true) == 1 && got.a == 1 && strcmp(got.text, "a long text that goes first") == 0);
    cr_expect(channel_receive(ends[1], &got, true) == 1 && got.a == 2 && strcmp(got.text, "short") == 0);
    cr_expect(channel_receive(ends[1], &got, true) == 1 && got.a == 3 && strcmp(got.text, "") == 0);
}

Test(channel, the_longest_text_arrives_and_a_longer_one_is_cut)
{
    struct channel_message message = {.kind = CHANNEL_CONFIG, .fd = -1}, got;
    memset(message.text, 'x', CHANNEL_TEXT_MAX - 1);
    cr_assert(channel_send(ends[0], &message));
    message.text[CHANNEL_TEXT_MAX - 1] = 'y'; /* no NUL at all */
    cr_assert(channel_send(ends[0], &message));
    for (int i = 0; i < 2; i++) {
        got = dirty_message();
        cr_assert_eq(channel_receive(ends[1], &got, true), 1);
        cr_expect_eq(strnlen(got.text, CHANNEL_TEXT_MAX), CHANNEL_TEXT_MAX - 1);
        cr_expect_eq(strspn(got.text, "x"), CHANNEL_TEXT_MAX - 1);
    }
}

/* Whatever the other end sends: the text ends. */
Test(channel, a_text_without_an_end_gets_one)
{
    struct channel_message message = {.kind = CHANNEL_FILE, .fd = -1}, got = dirty_message();
    char text[CHANNEL_TEXT_MAX];
    memset(text, 'x', sizeof(text));
    struct iovec parts[2] = {{&message, offsetof(struct channel_message, fd)}, {text, sizeof(text)}};
    cr_assert(writev(ends[0], parts, 2) > CHANNEL_TEXT_MAX);
    cr_assert_eq(channel_receive(ends[1], &got, true), 1);
    cr_expect_eq(strnlen(got.text, CHANNEL_TEXT_MAX), CHANNEL_TEXT_MAX - 1);
}

Test(channel, a_descriptor_goes_with_its_own_message)
{
    int hose[2];
    char byte = 0;
    struct channel_message got[3];
    cr_assert(pipe2(hose, O_CLOEXEC) == 0);
    cr_assert(channel_tell(ends[0], CHANNEL_GO, 0, 0, -1));
    cr_assert(channel_tell(ends[0], CHANNEL_LISTENER, 1, 2, hose[1]));
    cr_assert(channel_tell(ends[0], CHANNEL_GO, 0, 0, -1));
    cr_expect(fcntl(hose[1], F_GETFD) >= 0, "sending closed it");
    close(hose[1]);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(channel_receive(ends[1], &got[i], true), 1);
    cr_expect(got[0].fd == -1 && got[2].fd == -1);
    cr_assert(got[1].kind == CHANNEL_LISTENER && got[1].fd >= 0);
    cr_expect(is_close_on_exec(got[1].fd), "what we start would inherit it");
    cr_expect(write(got[1].fd, "!", 1) == 1 && read(hose[0], &byte, 1) == 1 && byte == '!');
    close(got[1].fd);
    cr_expect_eq(read(hose[0], &byte, 1), 0, "somebody still holds it");
    close(hose[0]);
}

/* The message is not lost with the descriptor: who gets it can ask again. */
Test(channel, a_descriptor_that_finds_no_room_is_dropped_alone)
{
    int hose[2];
    char byte;
    struct channel_message got = dirty_message();
    struct rlimit limit, none;
    cr_assert(pipe2(hose, O_CLOEXEC) == 0);
    cr_assert(channel_tell(ends[0], CHANNEL_JOURNAL, 0, 5, hose[1]));
    close(hose[1]);
    cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
    cr_assert(setrlimit(RLIMIT_NOFILE, &none) == 0);
    int result = channel_receive(ends[1], &got, true);
    cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    cr_expect_eq(result, 1);
    cr_expect(got.kind == CHANNEL_JOURNAL && got.b == 5);
    cr_expect_eq(got.fd, -1);
    cr_expect_eq(read(hose[0], &byte, 1), 0, "it lives on somewhere");
    close(hose[0]);
}

Test(channel, what_was_sent_before_the_end_arrives_before_it)
{
    struct channel_message got;
    cr_assert(channel_tell(ends[0], CHANNEL_STOP, 0, 0, -1));
    close(ends[0]);
    cr_expect(channel_receive(ends[1], &got, false) == 1 && got.kind == CHANNEL_STOP);
    got = dirty_message();
    cr_expect_eq(channel_receive(ends[1], &got, false), 0);
    cr_expect(got.kind == CHANNEL_NONE && got.fd == -1);
    cr_expect_eq(channel_receive(ends[1], &got, true), 0);
    ends[0] = -1;
}

Test(channel, nobody_there_is_an_error_not_a_signal)
{
    signal(SIGPIPE, SIG_DFL);
    close(ends[1]);
    ends[1] = -1;
    cr_expect_not(channel_tell(ends[0], CHANNEL_READY, 0, 0, -1));
    cr_expect_eq(errno, EPIPE);
}

Test(channel, not_waiting_is_told_apart_from_the_end)
{
    struct channel_message got = dirty_message();
    errno = 0;
    cr_expect_eq(channel_receive(ends[1], &got, false), -1);
    cr_expect_eq(errno, EAGAIN);
    cr_expect_eq(got.fd, -1);
    cr_assert(channel_tell(ends[0], CHANNEL_READY, 0, 0, -1));
    cr_expect_eq(channel_receive(ends[1], &got, false), 1);
    cr_expect_eq(channel_receive(ends[1], &got, false), -1);
}

static void ring(int signal)
{
    channel_tell(ends[0], CHANNEL_READY, (uint32_t)signal, 0, -1);
}

/* The message comes out of a signal's handler, while the receiver waits: it must have waited, and go on waiting after the interruption. */
Test(channel, waits_also_through_a_signal)
{
    struct channel_message got;
    const struct sigaction action = {.sa_handler = ring};
    const struct itimerval soon = {.it_value.tv_usec = 50000};
    cr_assert(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &soon, NULL) == 0);
    cr_expect_eq(channel_receive(ends[1], &got, true), 1, "%s", strerror(errno));
    cr_expect_eq(got.a, (uint32_t)SIGALRM);
}

enum { MANY = 500 };

static void *send_many(void *arg)
{
    struct channel_message message = {.kind = CHANNEL_CONFIG, .fd = -1};
    memset(message.text, 'x', CHANNEL_TEXT_MAX - 1);
    for (message.a = 0; message.a < MANY; message.a++) {
        if (!channel_send(ends[0], &message))
            return NULL;
    }
    return arg;
}

/* Two megabytes are more than a socket holds: the sender has to wait for the receiver, and nothing is dropped. */
Test(channel, sending_waits_for_a_slow_receiver)
{
    pthread_t sender;
    void *sent_all;
    struct channel_message got;
    cr_assert(pthread_create(&sender, NULL, send_many, ends) == 0);
    for (uint32_t i = 0; i < MANY; i++) {
        cr_assert_eq(channel_receive(ends[1], &got, true), 1);
        cr_assert_eq(got.a, i);
    }
    pthread_join(sender, &sent_all);
    cr_expect_not_null(sent_all);
}

Test(channel, less_than_a_head_is_no_message)
{
    struct channel_message got = dirty_message();
    cr_assert(send(ends[0], "abc", 3, 0) == 3);
    cr_expect_eq(channel_receive(ends[1], &got, true), -1);
    cr_expect_eq(errno, EPROTO);
}

Test(channel, both_ends_are_closed_on_exec)
{
    cr_expect(is_close_on_exec(ends[0]));
    cr_expect(is_close_on_exec(ends[1]));
}
