/* The workers as the journal process knows them: who is heard, in which order, and what is told. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audit/journal_frame.h"
#include "audit/journal_workers.h"

static struct journal_workers workers;

static void setup(void)
{
    cr_assert(journal_workers_init(&workers));
}

static void teardown(void)
{
    journal_workers_fini(&workers);
}

TestSuite(journal_workers, .init = setup, .fini = teardown, .timeout = 30);

/* The worker's own end. */
static int admit(uint32_t generation)
{
    int ends[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    cr_assert(journal_workers_admit(&workers, ends[0], generation));
    return ends[1];
}

static void say(int fd, const char *words)
{
    cr_assert_eq(send(fd, words, strlen(words), 0), (ssize_t)strlen(words));
}

static void look(void)
{
    bool on_control;
    cr_assert(journal_workers_wait(&workers, -1, 0, &on_control));
    cr_assert_not(on_control);
}

/* What the next packet says; "": there is none. */
static const char *hear(void)
{
    static char words[16];
    const uint8_t *packet;
    size_t len;
    struct journal_worker *worker = journal_workers_next(&workers, &packet, &len);
    memset(words, 0, sizeof(words));
    if (worker) {
        cr_assert(len < sizeof(words));
        memcpy(words, packet, len);
    }
    return words;
}

Test(journal_workers, one_packet_from_each_in_turn)
{
    const int a = admit(1), b = admit(1);
    say(a, "a1");
    say(a, "a2");
    say(a, "a3");
    say(b, "b1");
    look();
    cr_assert_str_eq(hear(), "a1");
    cr_assert_str_eq(hear(), "b1");
    cr_assert_str_eq(hear(), "a2");
    cr_assert_str_eq(hear(), "a3");
    cr_assert_str_eq(hear(), "");
}

Test(journal_workers, who_talks_without_end_is_not_listened_to_without_end)
{
    const int fd = admit(1);
    unsigned heard = 0;
    say(fd, "more");
    look();
    for (; heard < 1000 && strcmp(hear(), "more") == 0; heard++)
        say(fd, "more");
    cr_assert(heard > 1 && heard < 1000, "%u", heard);
    look();
    cr_assert_str_eq(hear(), "more");
}

Test(journal_workers, a_server_is_heard_when_the_one_before_has_ended)
{
    const int before = admit(1), after = admit(2);
    journal_workers_end(&workers, 1);
    say(after, "after");
    look();
    cr_assert_str_eq(hear(), "");
    say(before, "before");
    close(before);
    cr_assert(journal_workers_has_dead(&workers));
    look();
    cr_assert_str_eq(hear(), "before");
    cr_assert_str_eq(hear(), "");
    look();
    cr_assert_str_eq(hear(), "after");
    close(after);
    look();
    cr_assert_str_eq(hear(), "");
    cr_assert_not(journal_workers_has_any(&workers));
}

Test(journal_workers, servers_that_live_beside_each_other_are_both_heard)
{
    const int before = admit(1), after = admit(2);
    say(after, "after");
    say(before, "before");
    look();
    cr_assert_str_eq(hear(), "before");
    cr_assert_str_eq(hear(), "after");
    say(after, "more");
    close(after);
    journal_workers_end(&workers, 2);
    say(before, "live");
    look();
    cr_assert_str_eq(hear(), "more");
    cr_assert_str_eq(hear(), "");
    cr_assert_not(journal_workers_has_dead(&workers));
    look();
    cr_assert_str_eq(hear(), "live");
    close(before);
}

static uint32_t told(int fd)
{
    struct journal_frame frame;
    return recv(fd, &frame, sizeof(frame), MSG_DONTWAIT) == (ssize_t)sizeof(frame) ? frame.kind : 0;
}

Test(journal_workers, what_is_known_is_not_told_again)
{
    struct journal_news news = {.epoch = 1};
    const int fd = admit(1);
    journal_workers_tell(&workers, &news);
    cr_assert_eq(told(fd), FRAME_UP);
    journal_workers_tell(&workers, &news);
    cr_assert_eq(told(fd), 0);
    workers.all[0].taken = 7;
    journal_workers_commit(&workers);
    news.down = 28;
    journal_workers_tell(&workers, &news);
    cr_assert_eq(told(fd), FRAME_COMMITTED);
    cr_assert_eq(told(fd), FRAME_DOWN);
    cr_assert_eq(told(fd), 0);
}

Test(journal_workers, who_does_not_read_is_told_later_and_not_heard_before)
{
    struct journal_news news = {.epoch = 1};
    const int fd = admit(1);
    uint32_t kind, last = 0;
    say(fd, "words");
    while (!workers.all[0].blocked) {
        news.epoch++;
        journal_workers_tell(&workers, &news);
    }
    look();
    cr_assert_str_eq(hear(), "");
    while ((kind = told(fd)) != 0)
        last = kind;
    cr_assert_eq(last, FRAME_UP);
    journal_workers_tell(&workers, &news);
    cr_assert_eq(told(fd), FRAME_UP);
    look();
    cr_assert_str_eq(hear(), "words");
}

Test(journal_workers, who_is_not_heard_any_more_is_still_told)
{
    const struct journal_news news = {.epoch = 1};
    const int a = admit(1), b = admit(2);
    say(a, "early");
    journal_workers_end(&workers, 2);
    close(b);
    journal_workers_cease(&workers);
    cr_assert_eq(send(a, "late", 4, MSG_NOSIGNAL), -1);
    cr_assert_not(journal_workers_are_silent(&workers));
    look();
    cr_assert_str_eq(hear(), "");
    look();
    cr_assert_str_eq(hear(), "early");
    cr_assert_str_eq(hear(), "");
    cr_assert(journal_workers_are_silent(&workers));
    workers.all[0].taken = 7;
    journal_workers_commit(&workers);
    journal_workers_tell(&workers, &news);
    journal_workers_hand_over(&workers, 3000);
    cr_assert_eq(told(a), FRAME_COMMITTED);
    cr_assert_eq(told(a), FRAME_UP);
    struct journal_frame frame;
    cr_assert_eq(recv(a, &frame, sizeof(frame), MSG_DONTWAIT), (ssize_t)sizeof(frame));
    cr_assert(frame.kind == FRAME_HOLD && frame.count == 3000);
    close(a);
}
