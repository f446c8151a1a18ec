/* The far end: answers hellos, then echoes, sends or swallows bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"
#include "roles.h"

enum { SOURCE_BLOCK = 262144 };

struct visitor {
    struct watch watch;
    enum net_task task; /* 0: the hello is not whole yet */
    uint64_t left;      /* bytes to send, or to take */
    size_t len;
    uint8_t hello[NET_HELLO];
};

static void visitor_leave(struct visitor *visitor)
{
    close(visitor->watch.fd);
    visitor->watch.fd = -1;
    net_bury(visitor);
}

static void visitor_hello(struct visitor *visitor)
{
    ssize_t got = recv(visitor->watch.fd, visitor->hello + visitor->len, NET_HELLO - visitor->len, 0);
    if (got <= 0) {
        visitor_leave(visitor);
        return;
    }
    visitor->len += (size_t)got;
    if (visitor->len < NET_HELLO)
        return;
    visitor->task = net_hello_task(visitor->hello, &visitor->left);
    (void)send(visitor->watch.fd, "a", 1, MSG_NOSIGNAL);
}

static void visitor_source(struct visitor *visitor)
{
    static uint8_t block[SOURCE_BLOCK];
    while (visitor->left > 0) {
        ssize_t sent = send(visitor->watch.fd, block, visitor->left < SOURCE_BLOCK ? (size_t)visitor->left : SOURCE_BLOCK, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent < 0) {
            visitor_leave(visitor);
            return;
        }
        visitor->left -= (uint64_t)sent;
    }
    net_rewatch(&visitor->watch, EPOLLIN);
}

static void visitor_sink(struct visitor *visitor, size_t got)
{
    visitor->left -= got < visitor->left ? got : visitor->left;
    if (visitor->left == 0)
        (void)send(visitor->watch.fd, "k", 1, MSG_NOSIGNAL);
}

static void visitor_read(struct visitor *visitor)
{
    bool sinks = visitor->task == TASK_SINK;
    ssize_t got = sinks ? net_swallow(visitor->watch.fd) : recv(visitor->watch.fd, net_scratch, NET_BUFFER, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        visitor_leave(visitor);
    else if (visitor->task == TASK_ECHO)
        (void)send(visitor->watch.fd, net_scratch, (size_t)got, MSG_NOSIGNAL);
    else if (visitor->task == TASK_SOURCE)
        net_rewatch(&visitor->watch, EPOLLIN | EPOLLOUT);
    else if (sinks)
        visitor_sink(visitor, (size_t)got);
}

static void visitor_ready(struct watch *watch, uint32_t events)
{
    struct visitor *visitor = (struct visitor *)watch;
    if (visitor->task == 0)
        visitor_hello(visitor);
    else if (events & EPOLLOUT)
        visitor_source(visitor);
    else
        visitor_read(visitor);
}

static void origin_accept(struct watch *watch, uint32_t events)
{
    (void)events;
    int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct visitor *visitor = fd >= 0 ? calloc(1, sizeof(*visitor)) : NULL;
    if (!visitor) {
        if (errno == EAGAIN || errno == ECONNABORTED)
            return;
        net_fail("origin: cannot accept");
    }
    visitor->watch = (struct watch){visitor_ready, fd};
    net_watch(&visitor->watch, EPOLLIN);
}

void origin_run(void)
{
    struct watch door = {origin_accept, net_listen(false)};
    net_watch(&door, EPOLLIN);
    for (;;)
        net_turn(-1);
}
