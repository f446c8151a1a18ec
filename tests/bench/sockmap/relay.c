/* The floor by sockmap: a bare relay as ../floor.c is one, which opens each tunnel by hand and leaves its bytes to the kernel. */
#include "relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../net.h"
#include "study.h"

#define ESTABLISHED "HTTP/1.1 200 Connection established\r\n\r\n"

struct pair {
    struct watch client, origin;
    bool joined;
};

static struct sockmap relay_map;
static struct sockaddr_in relay_to;

/* Sharp: what a real relay would owe to either side (README.md, half-close) is not what is measured. */
static void relay_end(struct pair *pair)
{
    close(pair->client.fd);
    if (pair->origin.fd >= 0)
        close(pair->origin.fd);
    pair->client.fd = pair->origin.fd = -1;
    net_bury(pair);
}

static void relay_origin_ready(struct watch *watch, uint32_t events)
{
    struct pair *pair = (struct pair *)((char *)watch - offsetof(struct pair, origin));
    if (pair->joined || (events & (EPOLLERR | EPOLLHUP)) || send(pair->client.fd, ESTABLISHED, strlen(ESTABLISHED), MSG_NOSIGNAL) < 0) {
        relay_end(pair);
        return;
    }
    study_join(&relay_map, pair->client.fd, pair->origin.fd);
    net_rewatch(&pair->client, EPOLLRDHUP | EPOLLET);
    net_rewatch(&pair->origin, EPOLLRDHUP | EPOLLET);
    pair->joined = true;
}

static void relay_client_ready(struct watch *watch, uint32_t events)
{
    struct pair *pair = (struct pair *)watch;
    (void)events;
    if (pair->origin.fd >= 0 || recv(pair->client.fd, net_scratch, NET_BUFFER, 0) <= 0) {
        relay_end(pair);
        return;
    }
    pair->origin = (struct watch){relay_origin_ready, net_connect(&relay_to)};
    net_watch(&pair->origin, EPOLLOUT);
}

static void relay_accept(struct watch *watch, uint32_t events)
{
    (void)events;
    int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct pair *pair = fd >= 0 ? calloc(1, sizeof(*pair)) : NULL;
    if (!pair) {
        if (errno == EAGAIN || errno == ECONNABORTED)
            return;
        net_fail("relay: cannot accept");
    }
    pair->client = (struct watch){relay_client_ready, fd};
    pair->origin.fd = -1;
    net_watch(&pair->client, EPOLLIN);
}

static _Noreturn void relay_turn(const struct options *options, enum sockmap_mode mode)
{
    struct watch door = {relay_accept, net_listen(false)};
    relay_to = options->to;
    study_open(&relay_map, mode);
    net_watch(&door, EPOLLIN);
    for (;;)
        net_turn(-1);
}

void relay_run(const struct options *options)
{
    relay_turn(options, SOCKMAP_VERDICT);
}

void relay_run_parser(const struct options *options)
{
    relay_turn(options, SOCKMAP_PARSER);
}
