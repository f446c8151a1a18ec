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
#include "host/bind.h"
#include "proxy/edition.h"
#include "proxy/session.h"
#include "proxy/worker.h"

/* How many connections one turn takes from one socket, so that open tunnels are served between. */
#define ACCEPT_BATCH 64

/* Out of descriptors or memory: nothing is accepted for this long. */
#define ACCEPT_PAUSE_MS 100

/* A socket that nobody is let into any more (host/bind: bind_silence) is closed after so long: whoever was at it, is in by then. */
#define LEAVE_AFTER_MS 1000

/* Strangers decide how often that happens: the log hears of it no more than this often. */
#define PAUSE_SAID_EVERY_MS 10000

struct door {
    struct door *next;
    struct listening *listening;
    const struct listener *listener; /* of the worker's snapshot */
    uint32_t number;                 /* of its address */
    int fd;
    bool inherited;        /* others have this socket, too */
    bool leaves;           /* it is not among the listeners any more, and has a reference of its own to its snapshot */
    struct event *leaving; /* … until then; NULL: for want of memory for good */
    unsigned expected;     /* connections that may be waiting in the next turn: asking for one more costs a system call */
    struct event *readable;
};

struct listening {
    struct worker *worker;
    struct door *doors;
    struct event *resume;
    int spare_fd;            /* given up for a moment, so that a connection can be refused in words when descriptors are out */
    uint64_t quiet_until_ms; /* until then a pause is not said again */
    bool begun, retired;
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

static void door_free(struct door **link)
{
    struct door *door = *link;
    *link = door->next;
    if (door->leaves)
        listener_unref(door->listener);
    if (door->leaving != NULL)
        event_free(door->leaving);
    event_free(door->readable);
    close(door->fd);
    free(door);
}

void listening_free(struct listening *listening)
{
    if (listening == NULL)
        return;
    while (listening->doors != NULL)
        door_free(&listening->doors);
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
    if (fd >= 0 && door->leaves)
        bind_hear(fd);
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

static bool listening_take_one(struct door *door)
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
    while (taken < door->expected && listening_take_one(door))
        taken++;
    const bool all = taken == door->expected;
    door->expected = !all ? (taken > 0 ? taken : 1) : taken < ACCEPT_BATCH / 2 ? 2 * taken : ACCEPT_BATCH;
}

/* ---- another edition ---- */

static bool listening_is_paused(const struct listening *listening)
{
    return evtimer_pending(listening->resume, NULL);
}

static void listening_add(struct listening *listening, const struct edition_address *address, int fd)
{
    const int on = 1;
    struct door *door = calloc(1, sizeof(*door));
    struct event *readable = door != NULL ? event_new(listening->worker->loop->base, fd, EV_READ | EV_PERSIST, listening_ready, door) : NULL;
    if (readable == NULL) {
        log_error("worker %u has no memory to listen with", listening->worker->number);
        close(fd);
        free(door);
        return;
    }
    *door = (struct door){.next = listening->doors,
                          .listening = listening,
                          .listener = address->listener,
                          .number = address->number,
                          .fd = fd,
                          .inherited = address->inherited,
                          .readable = readable,
                          .expected = 1};
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* whom it accepts inherits it */
    listening->doors = door;
    if (listening->begun && !listening_is_paused(listening))
        event_add(readable, NULL);
}

/* Nobody has come in for a while. Where connections must wait for want of descriptors, so must this. */
static void listening_left(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval again = {0, ACCEPT_PAUSE_MS * 1000};
    (void)fd, (void)what;
    struct door *door = arg;
    struct listening *listening = door->listening;
    while (listening_take_one(door))
        continue;
    if (listening_is_paused(listening) && evtimer_add(door->leaving, &again) == 0)
        return;
    struct door **link = &listening->doors;
    while (*link != door)
        link = &(*link)->next;
    door_free(link);
}

/* What is done to the socket itself would be done to everybody who has it. */
static void listening_leave(struct door **link)
{
    static const struct timeval after = {LEAVE_AFTER_MS / 1000, LEAVE_AFTER_MS % 1000 * 1000};
    struct door *door = *link;
    if (door->inherited) {
        door_free(link);
        return;
    }
    door->leaves = true;
    bind_deafen(door->fd);
    listener_ref(door->listener);
    door->leaving = evtimer_new(door->listening->worker->loop->base, listening_left, door);
    if (door->leaving == NULL || evtimer_add(door->leaving, &after) != 0)
        log_error("worker %u has no memory to stop listening with", door->listening->worker->number);
}

/* What the edition has stays, what it has not goes; NULL has nothing. */
static void listening_keep(struct listening *listening, const struct edition *edition)
{
    for (struct door **link = &listening->doors, *door; (door = *link) != NULL; link = *link == door ? &door->next : link) {
        const struct edition_address *address = edition != NULL ? edition_find(edition, door->number) : NULL;
        if (door->leaves)
            continue;
        if (address != NULL)
            door->listener = address->listener;
        else
            listening_leave(link);
    }
}

void listening_retire(struct listening *listening)
{
    struct door **link = &listening->doors;
    listening->retired = true;
    while (*link != NULL)
        if ((*link)->leaves)
            link = &(*link)->next;
        else
            door_free(link);
}

void listening_leave_all(struct listening *listening)
{
    listening_keep(listening, NULL);
}

bool listening_is_over(const struct listening *listening)
{
    return listening->doors == NULL;
}

void listening_take(struct listening *listening, const struct edition *edition)
{
    listening_keep(listening, edition);
    for (size_t i = 0; i < edition->address_count; i++) {
        const struct edition_address *address = &edition->addresses[i];
        int *fd = &address->fds[listening->worker->number];
        if (*fd >= 0 && listening->retired)
            close(*fd);
        else if (*fd >= 0)
            listening_add(listening, address, *fd);
        *fd = -1;
    }
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
