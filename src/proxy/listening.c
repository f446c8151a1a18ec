/* The listening sockets of one worker: accepts, and pauses when descriptors run out. */
#include "proxy/listening.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "proxy/session.h"
#include "proxy/worker.h"

/* How many connections one turn takes from one socket, so that open tunnels are served between. */
#define ACCEPT_BATCH 64

/* Out of descriptors or memory: nothing is accepted for this long. */
#define ACCEPT_PAUSE_MS 100

/* Strangers decide how often that happens: the log hears of it no more than this often. */
#define PAUSE_SAID_EVERY_MS 10000

struct door {
    struct door *next;
    struct listening *listening;
    const struct listener *listener;
    int fd;
    unsigned expected; /* connections that may be waiting in the next turn: asking for one more costs a system call */
    struct event *readable;
};

struct listening {
    struct worker *worker;
    struct door *doors;
    struct event *resume;
    int spare_fd;            /* given up for a moment, so that a connection can be refused in words when descriptors are out */
    uint64_t quiet_until_ms; /* until then a pause is not said again */
    bool begun;
};

static void listening_open(struct listening *listening)
{
    for (struct door *door = listening->doors; door != NULL; door = door->next)
        event_add(door->readable, NULL);
}

static void listening_resume(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct listening *listening = arg;
    if (listening->spare_fd < 0)
        listening->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    listening_open(listening);
}

struct listening *listening_new(struct worker *worker)
{
    struct listening *listening = calloc(1, sizeof(*listening));
    if (listening == NULL)
        return NULL;
    listening->worker = worker;
    listening->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    listening->resume = evtimer_new(worker->loop->base, listening_resume, listening);
    if (listening->resume == NULL) {
        listening_free(listening);
        return NULL;
    }
    return listening;
}

void listening_free(struct listening *listening)
{
    if (listening == NULL)
        return;
    for (struct door *door = listening->doors, *next; door != NULL; door = next) {
        next = door->next;
        event_free(door->readable);
        close(door->fd);
        free(door);
    }
    if (listening->resume != NULL)
        event_free(listening->resume);
    if (listening->spare_fd >= 0)
        close(listening->spare_fd);
    free(listening);
}

static void listening_pause(struct listening *listening, int error)
{
    const struct timeval pause = {0, ACCEPT_PAUSE_MS * 1000};
    const uint64_t now_ms = loop_now_ms(listening->worker->loop);
    if (now_ms >= listening->quiet_until_ms) {
        log_warn("worker %u pauses accepting: %s (said once in %u s)", listening->worker->number, strerror(error), PAUSE_SAID_EVERY_MS / 1000);
        listening->quiet_until_ms = now_ms + PAUSE_SAID_EVERY_MS;
    }
    for (struct door *door = listening->doors; door != NULL; door = door->next)
        event_del(door->readable);
    if (evtimer_add(listening->resume, &pause) != 0)
        listening_open(listening); /* no memory even for a pause: better busy than shut for good */
}

static int listening_accept(const struct door *door, struct endpoint *peer)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);
    int fd = accept4(door->fd, (struct sockaddr *)&name, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 && !endpoint_from_sockaddr(peer, (struct sockaddr *)&name, len))
        *peer = (struct endpoint){.port = 0};
    return fd;
}

/* With the spare descriptor one waiting connection is told why, and recorded; then nothing is accepted for a moment. */
static void listening_refuse(struct door *door, int error)
{
    struct listening *listening = door->listening;
    if (listening->spare_fd >= 0) {
        close(listening->spare_fd);
        struct endpoint peer;
        int fd = listening_accept(door, &peer);
        listening->spare_fd = -1;
        if (fd >= 0)
            session_refuse(listening->worker, door->listener, fd, &peer);
        listening->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    listening_pause(listening, error);
}

static bool listening_is_out(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static bool listening_take(struct door *door)
{
    struct endpoint peer;
    int fd = listening_accept(door, &peer);
    if (fd >= 0)
        session_start(door->listening->worker, door->listener, fd, &peer);
    else if (listening_is_out(errno))
        listening_refuse(door, errno);
    return fd >= 0; /* else EAGAIN; or a connection that is gone again, which is nobody's fault */
}

static void listening_ready(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct door *door = arg;
    unsigned taken = 0;
    while (taken < door->expected && listening_take(door))
        taken++;
    const bool all = taken == door->expected;
    door->expected = !all ? (taken > 0 ? taken : 1) : taken < ACCEPT_BATCH / 2 ? 2 * taken : ACCEPT_BATCH;
}

bool listening_add(struct listening *listening, const struct listener *listener, int fd)
{
    const int on = 1;
    struct door *door = calloc(1, sizeof(*door));
    if (door == NULL) {
        close(fd);
        return false;
    }
    *door = (struct door){.next = listening->doors, .listening = listening, .listener = listener, .fd = fd, .expected = 1};
    door->readable = event_new(listening->worker->loop->base, fd, EV_READ | EV_PERSIST, listening_ready, door);
    if (door->readable == NULL) {
        close(fd);
        free(door);
        return false;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* whom it accepts inherits it */
    listening->doors = door;
    return true;
}

void listening_begin(struct listening *listening)
{
    if (!listening->begun)
        listening_open(listening);
    listening->begun = true;
}

bool listening_has_begun(const struct listening *listening)
{
    return listening->begun;
}
