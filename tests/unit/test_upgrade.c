/* The steps of an upgrade, with the test in place of the program that is tried, the journal process and the servers. */
#include "host/upgrade.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memo.h"

#define PATIENCE_MS 10000
#define TEXT "[listen l]\naddress = 127.0.0.1:0\n[clients a]\nfrom = 127.0.0.0/8\n[route nat]\n[rule r]\nto = a.example\n"

/* Higher than any that a process has: it may be killed. */
#define TRIAL 99999999

#define EXITED(code) ((code) << 8) /* as waitpid(2) says it */

static struct serving serving;
static struct generations generations;
static struct reload *reload;
static struct child journal;
static struct upgrade upgrade;
static int server, journals; /* the ends of the one that serves, and of the journal process */

/* What the supervisor is to do, and how often it was asked to. */
static struct {
    const char *says; /* by the program that is tried */
    pid_t trial;
    int error; /* in place of a process; 0: there is one */
    bool half; /* … which was started, and then could not be told all */
    int tried, started, promoted;
} hands;

/* ---- the supervisor ---- */

static pid_t hands_try(void *arg, int *said)
{
    (void)arg;
    hands.tried++;
    *said = hands.error == 0 ? memo_write("said", hands.says, strlen(hands.says)) : 1;
    errno = hands.error;
    return hands.error == 0 ? hands.trial : -1;
}

/* Does nothing, until it is killed. */
static pid_t process(void)
{
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    cr_assert(pid > 0);
    return pid;
}

static bool hands_start(void *arg, struct generation *generation)
{
    (void)arg;
    hands.started++;
    if (hands.error == 0 || hands.half)
        generation->child.pid = process();
    generation->number = ++generations.last_number;
    errno = hands.error;
    return hands.error == 0;
}

static void hands_promoted(void *arg)
{
    (void)arg;
    hands.promoted++;
}

static void taken(void *arg)
{
    (void)arg;
}

/* ---- around each test ---- */

static void begin_serving(void)
{
    struct fault_list *faults = fault_list_new();
    struct bundle *bundle = bundle_new();
    cr_assert(bundle != NULL && bundle_put(bundle, "test.conf", TEXT, strlen(TEXT)));
    bundle_seal(bundle);
    struct config *config = config_load(bundle, "test.conf", faults);
    cr_assert_not_null(config, "%s", fault_text(faults, 0));
    fault_list_free(faults);
    serving = (struct serving){.path = "test.conf", .candidate = candidate_serving(bundle, config), .bounds = {.workers = 1}, .origin = -1};
    cr_assert(serving.candidate != NULL && candidate_store(serving.candidate));
}

/* Gives our end of the channel. */
static int link_child(struct child *child)
{
    int ends[2];
    cr_assert(channel_pair(ends));
    child->channel = ends[0];
    return ends[1];
}

static void begin(void)
{
    begin_serving();
    cr_assert(generations_init(&generations, 1));
    reload = reload_new(&serving, &generations, taken, NULL);
    cr_assert_not_null(reload);
    struct generation *first = generations_serving(&generations);
    first->number = generations.last_number = 1;
    first->child.pid = getpid();
    first->ready = true;
    server = link_child(&first->child);
    journals = link_child(&journal);
    hands.says = "";
    hands.trial = TRIAL;
    const struct upgrade_hands ours = {hands_try, hands_start, hands_promoted, NULL};
    upgrade = (struct upgrade){.generations = &generations, .reload = reload, .journal = &journal, .hands = ours, .said = -1};
}

static void end(void)
{
    reload_free(reload);
    serving_fini(&serving);
    generations_fini(&generations);
    child_hang_up(&journal);
    close(server);
    close(journals);
}

TestSuite(upgrade, .init = begin, .fini = end);

/* ---- what is heard of it ---- */

/* The next message of this kind. */
static bool heard(int end_of, enum channel_kind kind, struct channel_message *message)
{
    while (channel_receive(end_of, message, false) > 0) {
        if (message->kind == kind)
            return true;
        if (message->fd >= 0)
            close(message->fd);
    }
    return false;
}

/* Who asked up to this number hears it. */
static void expect_told(uint32_t number, bool done, const char *words)
{
    struct channel_message message;
    size_t len;
    cr_assert(heard(server, CHANNEL_UPGRADED, &message), "%s", words);
    cr_expect(message.a == number && message.b == done, "%u, %u", message.a, message.b);
    char *told = memo_read(message.fd, 4096, &len);
    cr_assert_not_null(told);
    cr_expect_str_eq(told, words);
    free(told);
    close(message.fd);
}

static void expect_silence(void)
{
    struct channel_message message;
    cr_expect_not(heard(server, CHANNEL_UPGRADED, &message));
}

static void expect_killed(pid_t pid)
{
    int status;
    cr_expect(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void ask(uint32_t number)
{
    upgrade_ask(&upgrade, generations_serving(&generations), number);
    upgrade_go_on(&upgrade);
}

/* As if the patience in this step were over. */
static void wait_too_long(void)
{
    cr_expect_gt(upgrade_at_ms(&upgrade), clock_monotonic_ms());
    upgrade.until_ms = 0;
    upgrade_go_on(&upgrade);
}

/* ---- in the old program ---- */

Test(upgrade, a_program_that_can_go_on_is_to_be_executed)
{
    ask(1);
    cr_expect(hands.tried == 1 && upgrade.step == UPGRADE_TRYING);
    cr_expect_not(upgrade_reap(&upgrade, getpid(), EXITED(0)), "another process");
    cr_expect(upgrade_reap(&upgrade, TRIAL, EXITED(0)));
    cr_expect_eq(upgrade.step, UPGRADE_DUE);
    cr_expect_not(upgrade_reap(&upgrade, TRIAL, EXITED(0)), "it is no more");
    expect_silence();
}

Test(upgrade, nothing_is_tried_before_somebody_serves)
{
    generations_serving(&generations)->ready = false;
    ask(1);
    cr_expect(hands.tried == 0 && upgrade.step == UPGRADE_SETTLING);
    generations_serving(&generations)->ready = true;
    cr_expect_eq(upgrade_at_ms(&upgrade), 0);
    upgrade_go_on(&upgrade);
    cr_expect_eq(hands.tried, 1);
}

static void end_reload(void)
{
    for (const uint64_t until_ms = clock_monotonic_ms() + PATIENCE_MS; !reload_is_over(reload) && clock_monotonic_ms() < until_ms;) {
        int fds[RELOAD_FDS];
        reload_fds(reload, fds);
        struct pollfd read = {.fd = fds[0], .events = POLLIN};
        poll(&read, 1, 100);
        reload_go_on(reload, (const bool[RELOAD_FDS]){read.revents != 0});
    }
    cr_assert(reload_is_over(reload));
}

Test(upgrade, a_reload_ends_before_it_and_the_next_begins_after_it)
{
    reload_ask(reload); /* of a file that is not there */
    ask(1);
    cr_expect(hands.tried == 0 && upgrade.step == UPGRADE_SETTLING);
    reload_ask(reload);
    end_reload();
    upgrade_go_on(&upgrade);
    cr_expect_eq(hands.tried, 1);
    cr_expect(reload_count(reload) == 1 && reload_is_wanted(reload));
    upgrade_refuse(&upgrade, "the test says so");
    cr_expect_eq(reload_count(reload), 2);
}

Test(upgrade, what_a_program_says_is_why_it_is_refused)
{
    hands.says = "exeat.conf:1: wrong\nexeat.conf:2: wrong, too\n\n";
    ask(1);
    const int said = upgrade.said;
    cr_expect(upgrade_reap(&upgrade, TRIAL, EXITED(2)));
    expect_told(1, false, "exeat.conf:1: wrong\nexeat.conf:2: wrong, too\n");
    cr_expect(upgrade.step == UPGRADE_NONE && upgrade_at_ms(&upgrade) == UINT64_MAX);
    cr_expect(fcntl(said, F_GETFD) < 0, "nobody reads it any more");
}

Test(upgrade, a_program_that_says_nothing_is_refused_too)
{
    static const int ends[] = {EXITED(1), SIGSEGV};
    for (uint32_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        ask(i + 1);
        cr_expect(upgrade_reap(&upgrade, TRIAL, ends[i]));
        expect_told(i + 1, false, "the new program cannot go on from here, and does not say why\n");
    }
}

Test(upgrade, a_program_that_cannot_be_tried_is_refused)
{
    hands.error = EAGAIN;
    ask(1);
    expect_told(1, false, "Resource temporarily unavailable\n");
    cr_expect(upgrade.step == UPGRADE_NONE && upgrade.said == -1);
}

Test(upgrade, a_program_that_hangs_is_refused)
{
    hands.trial = process();
    ask(1);
    wait_too_long();
    expect_told(1, false, "it takes too long\n");
    cr_expect(waitpid(hands.trial, NULL, WNOHANG) < 0 && errno == ECHILD, "it is no more");
    cr_expect_eq(upgrade.step, UPGRADE_NONE);
}

Test(upgrade, there_is_none_with_as_many_servers_as_can_be)
{
    while (generations_raise(&generations) != NULL)
        generations_promote(&generations);
    struct generation *first = generations.all[GENERATIONS_MAX - 1];
    generations_serving(&generations)->ready = true;
    upgrade_ask(&upgrade, first, 1);
    upgrade_go_on(&upgrade);
    cr_expect_eq(hands.tried, 0);
    expect_told(1, false, "as many servers as can be still have tunnels open\n");
}

Test(upgrade, who_asks_meanwhile_hears_of_the_next)
{
    ask(1);
    ask(3);
    cr_expect(upgrade_is_wanted(&upgrade) && hands.tried == 1);
    upgrade_refuse(&upgrade, "the first");
    expect_told(1, false, "the first\n");
    expect_silence();
    cr_expect(!upgrade_is_wanted(&upgrade) && upgrade.step == UPGRADE_SETTLING);
    upgrade_refuse(&upgrade, "the second");
    expect_told(3, false, "the second\n");
    upgrade_refuse(&upgrade, "none");
    expect_silence();
}

Test(upgrade, on_the_way_out_there_is_none)
{
    ask(1);
    upgrade_close(&upgrade);
    expect_told(1, false, "exeat is being stopped\n");
    ask(2);
    expect_told(2, false, "exeat is being stopped\n");
    cr_expect(upgrade.step == UPGRADE_NONE && hands.tried == 1);
}

/* ---- in the new one ---- */

/* Up to where the server that is to follow has been started. */
static struct generation *raise_next(void)
{
    upgrade_continue(&upgrade);
    journal.yields = false; /* the next journal process is there */
    upgrade_go_on(&upgrade);
    return generations_rising(&generations);
}

Test(upgrade, a_server_rises_when_the_journal_has_yielded)
{
    struct channel_message message;
    upgrade_continue(&upgrade);
    cr_expect(journal.yields && heard(journals, CHANNEL_YIELD, &message) && message.a > 0);
    upgrade_go_on(&upgrade);
    cr_expect(hands.started == 0 && upgrade.step == UPGRADE_YIELDING);
    child_hang_up(&journal);
    journal.yields = false;
    upgrade_go_on(&upgrade);
    cr_expect_eq(hands.started, 0, "there is none for it");
    close(journals);
    journals = link_child(&journal);
    upgrade_go_on(&upgrade);
    cr_expect(hands.started == 1 && upgrade.step == UPGRADE_RISING);
    cr_expect_not_null(generations_rising(&generations));
    expect_silence();
    kill(generations_rising(&generations)->child.pid, SIGKILL);
}

Test(upgrade, the_server_that_is_ready_serves_and_the_one_before_retires)
{
    struct channel_message message;
    struct generation *before = generations_serving(&generations), *next = raise_next();
    before->upgrade.began = 7;
    reload_ask(reload);
    cr_expect(reload_is_over(reload), "not before it is over");
    upgrade_rise(&upgrade);
    cr_expect(generations_serving(&generations) == next && before->state == GENERATION_RETIRED && generations.count == 2);
    cr_expect_eq(hands.promoted, 1);
    cr_expect(heard(server, CHANNEL_RETIRE, &message), "before it hears that it is done");
    expect_told(7, true, "generation 2 serves");
    cr_expect(upgrade.step == UPGRADE_NONE && reload_count(reload) == 1);
    kill(next->child.pid, SIGKILL);
}

Test(upgrade, one_that_has_died_meanwhile_does_not_retire)
{
    generations_serving(&generations)->child.pid = 0;
    struct generation *next = raise_next();
    upgrade_rise(&upgrade);
    cr_expect(generations_serving(&generations) == next && generations.count == 1);
    kill(next->child.pid, SIGKILL);
}

Test(upgrade, a_server_that_cannot_be_started_changes_nothing)
{
    struct generation *before = generations_serving(&generations);
    hands.error = ENOMEM;
    cr_expect_null(raise_next());
    expect_told(0, false, "Cannot allocate memory\n");
    cr_expect(generations_serving(&generations) == before && generations.count == 1 && upgrade.step == UPGRADE_NONE);
}

Test(upgrade, a_server_that_was_told_half_is_there_until_it_ends)
{
    hands.error = ENOMEM;
    hands.half = true;
    struct generation *half = raise_next();
    cr_assert_not_null(half);
    expect_told(0, false, "Cannot allocate memory\n");
    cr_expect(half->child.channel == -1 && upgrade.step == UPGRADE_NONE);
    upgrade_fall(&upgrade);
    expect_silence();
    kill(half->child.pid, SIGKILL);
}

Test(upgrade, a_server_that_ends_while_it_is_told_is_called_that)
{
    static const int errors[] = {EPIPE, ECONNRESET};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        hands.error = errors[i];
        hands.half = true;
        struct generation *half = raise_next();
        expect_told(0, false, "the server of the new program has ended before it was ready\n");
        kill(half->child.pid, SIGKILL);
        generations_forget(&generations, half);
        upgrade_fall(&upgrade);
        expect_silence();
    }
}

Test(upgrade, a_server_that_ends_before_it_is_ready_changes_nothing)
{
    struct generation *next = raise_next();
    kill(next->child.pid, SIGKILL);
    generations_forget(&generations, next);
    upgrade_fall(&upgrade);
    expect_told(0, false, "the server of the new program has ended before it was ready\n");
    cr_expect(generations_serving(&generations)->ready && upgrade.step == UPGRADE_NONE);
}

Test(upgrade, a_server_that_hangs_is_killed)
{
    const pid_t pid = raise_next()->child.pid;
    wait_too_long();
    expect_killed(pid);
    expect_told(0, false, "it takes too long\n");
}
