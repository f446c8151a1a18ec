/* The near end: opens tunnels, moves what is asked for through them, and says how long it took. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "net.h"
#include "roles.h"

enum { MESSAGE = 64, UP_BLOCK = 65536, HEAD_MAX = 4096, SLICES_MAX = 400, PATIENCE_MS = 20000 };

enum load { LOAD_SETUP, LOAD_REJECT, LOAD_ECHO, LOAD_DOWN, LOAD_UP, LOAD_IDLE, LOADS };

static const struct load_row {
    const char *word;
    enum net_task task;
    bool holds; /* opens tunnels first, then works in them */
} LOAD_ROWS[LOADS] = {
    [LOAD_SETUP] = {"setup", TASK_ANSWER, false}, [LOAD_REJECT] = {"reject", TASK_ANSWER, false},
    [LOAD_ECHO] = {"echo", TASK_ECHO, true},      [LOAD_DOWN] = {"down", TASK_SOURCE, true},
    [LOAD_UP] = {"up", TASK_SINK, true},          [LOAD_IDLE] = {"idle", TASK_ANSWER, true},
};

enum step { STEP_CALL, STEP_HEAD, STEP_ANSWER, STEP_HELD, STEP_REFUSAL };

struct caller {
    struct watch watch;
    enum step step;
    uint32_t len;      /* of the proxy's head, or of the message so far */
    uint64_t left;     /* bytes still to come or to go */
    uint64_t since_ns; /* when this tunnel or message began, or was due */
    uint32_t owed;     /* messages that were due while one was on its way */
    bool busy;         /* a message is on its way */
    struct caller *next;
    char head[];
};

static struct {
    const struct options *options;
    enum load load;
    struct caller *held;
    uint64_t started, opened, done, failed, asked; /* asked: messages on their way or done */
    uint32_t *took_us;
    size_t took_count;
    uint8_t hello[NET_HELLO];
    char request[600];
} run;

static uint64_t client_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t client_tunnels(void)
{
    return run.load == LOAD_ECHO || run.load == LOAD_DOWN || run.load == LOAD_UP ? run.options->parallel : run.options->count;
}

static void client_took(const struct caller *caller)
{
    if (run.took_us && run.took_count < run.options->count)
        run.took_us[run.took_count++] = (uint32_t)((client_now_ns() - caller->since_ns) / 1000);
}

/* ---- one tunnel ---- */

static void caller_ready(struct watch *watch, uint32_t events);

static void caller_start(void)
{
    struct caller *caller = calloc(1, sizeof(*caller) + (run.options->connect ? HEAD_MAX : 0));
    if (!caller)
        net_fail("client: no memory");
    caller->since_ns = client_now_ns();
    caller->watch = (struct watch){caller_ready, net_connect(&run.options->to)};
    run.started++;
    net_watch(&caller->watch, EPOLLOUT);
}

static void caller_leave(struct caller *caller)
{
    close(caller->watch.fd);
    caller->watch.fd = -1;
    net_bury(caller);
    if (!LOAD_ROWS[run.load].holds && run.started < run.options->count)
        caller_start();
}

static void caller_fail(struct caller *caller, const char *what)
{
    if (run.failed++ == 0)
        fprintf(stderr, "load: %s %s\n", LOAD_ROWS[run.load].word, what);
    caller_leave(caller);
}

static void caller_done(struct caller *caller)
{
    client_took(caller);
    run.done++;
    caller_leave(caller);
}

static void caller_send(struct caller *caller, const void *bytes, size_t len)
{
    if (send(caller->watch.fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        caller_fail(caller, "cannot send");
}

/* Connected: the CONNECT head, or the hello at once. */
static void caller_call(struct caller *caller)
{
    net_rewatch(&caller->watch, EPOLLIN);
    if (run.load == LOAD_REJECT)
        caller->step = STEP_REFUSAL;
    else
        caller->step = run.options->connect ? STEP_HEAD : STEP_ANSWER;
    if (run.options->connect)
        caller_send(caller, run.request, strlen(run.request));
    else
        caller_send(caller, run.hello, NET_HELLO);
}

static void caller_head(struct caller *caller)
{
    ssize_t got = recv(caller->watch.fd, caller->head + caller->len, HEAD_MAX - 1 - caller->len, 0);
    if (got <= 0) {
        caller_fail(caller, "was hung up on before the 200");
        return;
    }
    caller->len += (uint32_t)got;
    if (!strstr(caller->head, "\r\n\r\n"))
        return;
    if (strncmp(caller->head + 8, " 200", 4) != 0) {
        caller_fail(caller, caller->head);
        return;
    }
    caller->step = STEP_ANSWER;
    caller_send(caller, run.hello, NET_HELLO);
}

static void caller_hold(struct caller *caller)
{
    caller->step = STEP_HELD;
    caller->next = run.held;
    run.held = caller;
    run.opened++;
    if (run.started < client_tunnels())
        caller_start();
}

static void caller_answer(struct caller *caller)
{
    char answer;
    if (recv(caller->watch.fd, &answer, 1, 0) != 1 || answer != 'a')
        caller_fail(caller, "got no answer from the origin");
    else if (LOAD_ROWS[run.load].holds)
        caller_hold(caller);
    else
        caller_done(caller);
}

/* Whatever is said, until the end; nothing at all from a floor. */
static void caller_refusal(struct caller *caller)
{
    ssize_t got = recv(caller->watch.fd, net_scratch, NET_BUFFER, 0);
    if (got == 0 || (got < 0 && errno == ECONNRESET))
        caller_done(caller);
    else if (got > 12 && memcmp(net_scratch + 8, " 200", 4) == 0)
        caller_fail(caller, "was let out");
}

/* ---- work in tunnels that stand ---- */

static void caller_message(struct caller *caller, uint64_t since_ns)
{
    static const char message[MESSAGE];
    caller->len = 0;
    caller->busy = true;
    caller->since_ns = since_ns;
    caller_send(caller, message, MESSAGE);
}

/* As soon as the last one is back. */
static void caller_again(struct caller *caller)
{
    if (run.asked == run.options->count)
        return;
    run.asked++;
    caller_message(caller, client_now_ns());
}

/* The tunnels take turns, so each is due again after as many beats. One that was late is measured from when it was due. */
static void caller_make_up(struct caller *caller)
{
    if (caller->owed == 0)
        return;
    caller->owed--;
    caller_message(caller, caller->since_ns + client_tunnels() * 1000000000 / run.options->rate);
}

static void caller_echoed(struct caller *caller)
{
    ssize_t got = recv(caller->watch.fd, net_scratch, NET_BUFFER, 0);
    if (got <= 0) {
        caller_fail(caller, "was cut");
        return;
    }
    caller->len += (uint32_t)got;
    if (caller->len < MESSAGE)
        return;
    client_took(caller);
    run.done++;
    caller->busy = false;
    if (run.options->rate)
        caller_make_up(caller);
    else
        caller_again(caller);
}

static void caller_down(struct caller *caller)
{
    ssize_t got = net_swallow(caller->watch.fd);
    if (got <= 0 || (uint64_t)got > caller->left) {
        caller_fail(caller, "got another number of bytes");
        return;
    }
    caller->left -= (uint64_t)got;
    run.done += (uint64_t)got;
}

/* Done when the origin says that it has all. */
static void caller_up(struct caller *caller, uint32_t events)
{
    static const uint8_t block[UP_BLOCK];
    char answer;
    if (!(events & EPOLLOUT)) {
        if (recv(caller->watch.fd, &answer, 1, 0) != 1 || answer != 'k' || caller->left > 0)
            caller_fail(caller, "was cut");
        else
            run.done += run.options->count / run.options->parallel;
        return;
    }
    ssize_t sent = send(caller->watch.fd, block, caller->left < UP_BLOCK ? (size_t)caller->left : UP_BLOCK, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        caller_fail(caller, "cannot send");
        return;
    }
    caller->left -= sent > 0 ? (uint64_t)sent : 0;
    if (caller->left == 0)
        net_rewatch(&caller->watch, EPOLLIN);
}

static void caller_held(struct caller *caller, uint32_t events)
{
    switch (run.load) {
    case LOAD_ECHO:
        caller_echoed(caller);
        break;
    case LOAD_DOWN:
        caller_down(caller);
        break;
    case LOAD_UP:
        caller_up(caller, events);
        break;
    case LOAD_SETUP:
    case LOAD_REJECT:
    case LOAD_IDLE:
    case LOADS:
        caller_fail(caller, "was cut");
        break;
    }
}

static void caller_ready(struct watch *watch, uint32_t events)
{
    struct caller *caller = (struct caller *)watch;
    switch (caller->step) {
    case STEP_CALL:
        caller_call(caller);
        break;
    case STEP_HEAD:
        caller_head(caller);
        break;
    case STEP_ANSWER:
        caller_answer(caller);
        break;
    case STEP_HELD:
        caller_held(caller, events);
        break;
    case STEP_REFUSAL:
        caller_refusal(caller);
        break;
    }
}

/* ---- a steady rate, whatever comes back ---- */

static struct {
    struct watch watch;
    struct caller *next; /* whose turn it is; NULL: the first one's */
    uint64_t began_ns;
} beat;

static void beat_send(uint64_t due_ns)
{
    struct caller *caller = beat.next ? beat.next : run.held;
    beat.next = caller->next;
    if (caller->busy)
        caller->owed++;
    else
        caller_message(caller, due_ns);
}

static void beat_ready(struct watch *watch, uint32_t events)
{
    uint64_t beats;
    (void)events;
    if (read(watch->fd, &beats, sizeof(beats)) != sizeof(beats))
        return;
    for (; beats > 0 && run.asked < run.options->count; beats--)
        beat_send(beat.began_ns + ++run.asked * 1000000000 / run.options->rate);
}

static void beat_start(void)
{
    const uint64_t every_ns = 1000000000 / run.options->rate;
    const struct timespec every = {.tv_sec = (time_t)(every_ns / 1000000000), .tv_nsec = (long)(every_ns % 1000000000)};
    beat.watch = (struct watch){beat_ready, timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)};
    beat.began_ns = client_now_ns();
    if (beat.watch.fd < 0 || timerfd_settime(beat.watch.fd, 0, &(struct itimerspec){every, every}, NULL) != 0)
        net_fail("client: no timer");
    net_watch(&beat.watch, EPOLLIN);
}

/* ---- the whole ---- */

static void client_prepare(const struct options *options)
{
    run.options = options;
    while (run.load < LOADS && strcmp(LOAD_ROWS[run.load].word, options->load) != 0)
        run.load++;
    if (run.load == LOADS)
        net_fail("client: no such load");
    net_hello(run.hello, options->name, LOAD_ROWS[run.load].task, options->count / options->parallel);
    if (options->connect)
        snprintf(run.request, sizeof(run.request), "CONNECT %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench/1\r\n\r\n", options->connect,
                 options->connect);
    if (run.load == LOAD_SETUP || run.load == LOAD_REJECT || run.load == LOAD_ECHO)
        run.took_us = calloc(options->count, sizeof(*run.took_us));
}

/* Turns the loop until `*now` is `goal`, unless something fails. */
static void client_until(const uint64_t *now, uint64_t goal)
{
    while (*now < goal && run.failed == 0) {
        if (!net_turn(PATIENCE_MS)) {
            fprintf(stderr, "load: %s stalled at %" PRIu64 " of %" PRIu64 "\n", LOAD_ROWS[run.load].word, *now, goal);
            run.failed++;
        }
    }
}

static void client_open(void)
{
    for (uint64_t i = 0; i < run.options->parallel && i < client_tunnels(); i++)
        caller_start();
}

static void client_work(void)
{
    for (struct caller *caller = run.held; caller; caller = caller->next) {
        caller->left = run.options->count / run.options->parallel;
        if (run.load == LOAD_ECHO && !run.options->rate)
            caller_again(caller);
        else if (run.load == LOAD_DOWN)
            caller_send(caller, "g", 1);
        else if (run.load == LOAD_UP)
            net_rewatch(&caller->watch, EPOLLIN | EPOLLOUT);
    }
    if (!LOAD_ROWS[run.load].holds)
        client_open();
    if (run.load == LOAD_ECHO && run.options->rate)
        beat_start();
    if (run.load == LOAD_IDLE)
        run.done = run.opened;
    client_until(&run.done, run.options->count);
}

static int client_compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static uint32_t client_p99(uint32_t *took_us, size_t count)
{
    qsort(took_us, count, sizeof(*took_us), client_compare);
    return took_us[count * 99 / 100];
}

/* The median of the p99s of quarters of a second: what else the machine does for a moment is in a few of them. Sorts within these. */
static uint32_t client_steady_p99(void)
{
    uint32_t slices[SLICES_MAX];
    const size_t slice = run.options->rate / 4 + 1;
    size_t count = 0;
    for (size_t at = 0; at + slice <= run.took_count && count < SLICES_MAX; at += slice)
        slices[count++] = client_p99(run.took_us + at, slice);
    if (count == 0)
        return client_p99(run.took_us, run.took_count);
    qsort(slices, count, sizeof(*slices), client_compare);
    return slices[count / 2];
}

static void client_report(uint64_t began_ns)
{
    double wall_s = (double)(client_now_ns() - began_ns) / 1e9;
    printf("{\"done\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"wall_s\": %.6f", run.done, run.failed, wall_s);
    if (run.took_count > 0) {
        if (run.options->rate)
            printf(", \"steady_p99_us\": %u", client_steady_p99());
        qsort(run.took_us, run.took_count, sizeof(*run.took_us), client_compare);
        printf(", \"p50_us\": %u, \"p99_us\": %u", run.took_us[run.took_count / 2], run.took_us[run.took_count * 99 / 100]);
    }
    printf("}\n");
    fflush(stdout);
}

int client_run(const struct options *options)
{
    client_prepare(options);
    if (LOAD_ROWS[run.load].holds) {
        client_open();
        client_until(&run.opened, client_tunnels());
    }
    printf("ready\n");
    fflush(stdout);
    (void)getchar();
    uint64_t began_ns = client_now_ns();
    client_work();
    client_report(began_ns);
    if (run.load == LOAD_IDLE)
        (void)getchar();
    return run.failed > 0;
}
