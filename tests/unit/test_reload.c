/* The supervisor's side of a reload, with the test in place of the server. */
#include "host/reload.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define PATIENCE_MS 10000
#define TEXT "[exeat]\nwatch = on\n[listen l]\naddress = 127.0.0.1:0\n[clients a]\nfrom = 127.0.0.0/8\n[route nat]\n[rule r]\nto = %s.example\n"

static char path[64];
static struct serving serving;
static struct generations generations;
static struct reload *reload;
static int ends[2]; /* the supervisor's, and the one that the server would have */

static void put(const char *name)
{
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL && fprintf(file, TEXT, name) > 0 && fclose(file) == 0);
}

static void taken(void *arg)
{
    (void)arg;
}

static void begin(void)
{
    static char directory[] = "/tmp/exeat-reload-XXXXXX";
    struct fault_list *faults = fault_list_new();
    struct bundle *bundle = bundle_new();
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/exeat.conf", directory);
    put("first");
    struct config *config = config_load(bundle, path, faults);
    cr_assert_not_null(config, "%s", fault_text(faults, 0));
    fault_list_free(faults);
    serving = (struct serving){.path = path, .candidate = candidate_serving(bundle, config), .bounds = {.workers = 1}, .edition = 1};
    cr_assert(serving.candidate != NULL && candidate_store(serving.candidate) && channel_pair(ends));
    cr_assert(generations_init(&generations, 1));
    reload = reload_new(&serving, &generations, taken, NULL);
    cr_assert_not_null(reload);
    generations_serving(&generations)->child.channel = ends[0];
    generations_serving(&generations)->ready = true;
    reload_server_started(reload);
    reload_server_ready(reload);
}

static void end(void)
{
    reload_free(reload);
    bounds_fini(&serving.bounds);
    candidate_free(serving.candidate);
    generations_fini(&generations);
    close(ends[1]);
    unlink(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
}

TestSuite(reload, .init = begin, .fini = end);

/* As the supervisor's loop does it, once. */
static void turn(void)
{
    const uint64_t now_ms = clock_monotonic_ms(), at_ms = reload_at_ms(reload);
    struct pollfd watched[RELOAD_FDS];
    bool readable[RELOAD_FDS];
    int fds[RELOAD_FDS];
    reload_fds(reload, fds);
    for (int i = 0; i < RELOAD_FDS; i++)
        watched[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    cr_assert(poll(watched, RELOAD_FDS, at_ms <= now_ms ? 0 : at_ms - now_ms < 100 ? (int)(at_ms - now_ms) : 100) >= 0);
    for (int i = 0; i < RELOAD_FDS; i++)
        readable[i] = watched[i].revents != 0;
    reload_go_on(reload, readable);
}

/* What the server hears next of this kind. */
static struct channel_message await(enum channel_kind kind)
{
    struct channel_message message = {.kind = CHANNEL_NONE};
    for (const uint64_t until_ms = clock_monotonic_ms() + PATIENCE_MS; clock_monotonic_ms() < until_ms; turn()) {
        while (channel_receive(ends[1], &message, false) > 0) {
            if (message.fd >= 0)
                close(message.fd);
            if (message.kind == kind)
                return message;
        }
    }
    cr_assert_fail("the server waits in vain for message %u", kind);
    return message;
}

static void answer(enum channel_kind kind, uint32_t number)
{
    const struct channel_message message = {.kind = kind, .a = number, .b = 1, .fd = -1};
    reload_take_message(reload, generations_serving(&generations), &message);
}

/* Gives the number of the edition that the workers are taking. */
static uint32_t give(void)
{
    const uint32_t number = await(CHANNEL_CONFIG).b;
    answer(CHANNEL_LOADED, number);
    cr_assert_eq(await(CHANNEL_GIVEN).a, number);
    answer(CHANNEL_WHOLE, number);
    cr_assert_eq(await(CHANNEL_GO).a, number);
    return number;
}

/* ---- beside one that has retired; the file stays as it is, so that only the test asks ---- */

/* A process that does nothing; what it would hear comes out at `theirs`. */
static struct generation *retire(int *theirs)
{
    struct generation *retired = generations_add(&generations);
    cr_assert_not_null(retired);
    retired->state = GENERATION_RETIRED;
    retired->child.pid = fork(); /* before there is a channel, of which it shall have no copy */
    cr_assert(retired->child.pid >= 0);
    if (retired->child.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    int pair[2];
    cr_assert(channel_pair(pair));
    retired->child.channel = pair[0];
    *theirs = pair[1];
    return retired;
}

static void expect_ended(const struct generation *retired)
{
    int status;
    cr_expect_eq(retired->child.channel, -1);
    cr_expect(waitpid(retired->child.pid, &status, 0) == retired->child.pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void expect_going_on(const struct generation *retired)
{
    cr_expect_geq(retired->child.channel, 0);
    cr_expect_eq(waitpid(retired->child.pid, NULL, WNOHANG), 0);
    kill(retired->child.pid, SIGKILL);
    waitpid(retired->child.pid, NULL, 0);
}

static void say(struct generation *retired, enum channel_kind kind, uint32_t number)
{
    reload_take_message(reload, retired, &(struct channel_message){.kind = kind, .a = number, .b = 1, .fd = -1});
}

Test(reload, a_retired_server_that_does_not_read_it_is_ended)
{
    int theirs;
    struct generation *retired = retire(&theirs);
    reload_set_retired_patience(reload, 10);
    reload_ask(reload);
    const uint32_t number = await(CHANNEL_CONFIG).b;
    for (const uint64_t until_ms = clock_monotonic_ms() + 100; clock_monotonic_ms() < until_ms;)
        turn();
    cr_expect_geq(retired->child.channel, 0, "it may take as long as the one that serves");
    answer(CHANNEL_LOADED, number);
    cr_assert_eq(await(CHANNEL_GIVEN).a, number);
    expect_ended(retired);
    answer(CHANNEL_WHOLE, number);
    answer(CHANNEL_TAKEN, number);
    cr_expect(serving.edition == number && reload_is_over(reload));
    close(theirs);
}

Test(reload, a_retired_server_that_does_not_go_by_it_is_ended)
{
    int theirs;
    struct generation *retired = retire(&theirs);
    reload_ask(reload);
    const uint32_t number = await(CHANNEL_CONFIG).b;
    answer(CHANNEL_LOADED, number);
    say(retired, CHANNEL_LOADED, number);
    say(retired, CHANNEL_WHOLE, number);
    reload_set_retired_patience(reload, 10);
    answer(CHANNEL_WHOLE, number);
    answer(CHANNEL_TAKEN, number);
    cr_expect_eq(serving.edition, number);
    cr_assert_eq(await(CHANNEL_OUTCOME).b, 1, "it is taken");
    expect_ended(retired);
    close(theirs);
}

Test(reload, a_retired_server_that_hears_nothing_is_ended)
{
    int theirs;
    struct generation *retired = retire(&theirs);
    close(theirs);
    reload_ask(reload);
    const uint32_t number = give();
    expect_ended(retired);
    answer(CHANNEL_TAKEN, number);
    cr_expect_eq(serving.edition, number);
}

Test(reload, a_retired_server_that_is_slow_goes_on)
{
    int theirs;
    struct generation *retired = retire(&theirs);
    reload_ask(reload);
    const uint32_t number = await(CHANNEL_CONFIG).b;
    answer(CHANNEL_LOADED, number);
    for (const uint64_t until_ms = clock_monotonic_ms() + 100; clock_monotonic_ms() < until_ms;)
        turn();
    say(retired, CHANNEL_LOADED, number);
    answer(CHANNEL_WHOLE, number);
    say(retired, CHANNEL_WHOLE, number);
    say(retired, CHANNEL_TAKEN, number);
    cr_expect_not(reload_is_over(reload), "one of them does not go by it yet");
    answer(CHANNEL_TAKEN, number);
    cr_expect(serving.edition == number && reload_is_over(reload));
    expect_going_on(retired);
    close(theirs);
}

Test(reload, a_retired_server_with_nothing_open_is_not_asked)
{
    int theirs;
    struct channel_message message;
    struct generation *retired = retire(&theirs);
    retired->drained = true;
    reload_ask(reload);
    answer(CHANNEL_TAKEN, give());
    cr_expect(reload_is_over(reload));
    cr_expect(channel_receive(theirs, &message, false) > 0 && message.kind == CHANNEL_OUTCOME, "nothing else");
    expect_going_on(retired);
    close(theirs);
}

/* ---- beside what hangs or changes ---- */

/* Who asked, and who asks later, hears that it hangs; and what it comes to when a worker was only slow. */
Test(reload, one_that_hangs_is_not_waited_for_in_silence)
{
    const struct channel_message first = {.kind = CHANNEL_RELOAD, .a = 1, .fd = -1}, later = {.kind = CHANNEL_RELOAD, .a = 2, .fd = -1};
    reload_set_patience(reload, 10);
    put("second");
    reload_take_message(reload, generations_serving(&generations), &first);
    const uint32_t number = give();
    struct channel_message told = await(CHANNEL_OUTCOME);
    cr_expect(told.a == 1 && told.b == 0);
    reload_take_message(reload, generations_serving(&generations), &later);
    told = await(CHANNEL_OUTCOME);
    cr_expect(told.a == 2 && told.b == 0);
    cr_expect(!reload_is_over(reload));
    reload_set_patience(reload, PATIENCE_MS);
    answer(CHANNEL_TAKEN, number);
    cr_expect_eq(serving.edition, number);
    cr_expect_eq(reload_count(reload), 2, "the later one is not forgotten");
}

Test(reload, a_file_that_changes_while_the_workers_take_it)
{
    put("second");
    const uint32_t second = give();
    put("third");
    for (const uint64_t until_ms = clock_monotonic_ms() + 600; clock_monotonic_ms() < until_ms;)
        turn();
    answer(CHANNEL_TAKEN, second);
    const uint32_t third = give();
    cr_expect_gt(third, second);
    answer(CHANNEL_TAKEN, third);
    cr_expect_eq(serving.edition, third);
}
