/* Errors and wake-ups: what the relay's epoll hears of a reset, of a peer that is gone, and of bytes that are none of its business any more. */
#include <linux/filter.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "study.h"
#include "tunnel.h"

enum { MESSAGES = 2000, GONE_MS = 8000 };

static const char *errors_of(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);
    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return error ? strerror(error) : "no error";
}

static void errors_set(int fd, int level, int option, int value)
{
    if (setsockopt(fd, level, option, &value, sizeof(value)) != 0)
        study_fail("cannot set a socket option");
}

static void errors_reset(const struct sockmap *map)
{
    struct flow down = {0};
    struct tunnel tunnel;
    tunnel_open(&tunnel);
    study_join(map, tunnel.near, tunnel.far);
    tunnel_shut(&tunnel.client, true);
    bool told = flow_wait(tunnel.near, 0, 1000);
    flow_send(&down, tunnel.origin, 1000);
    flow_send(&down, tunnel.origin, 1000);
    study_hold("a reset by the client: near is told", told);
    study_say("  error on near; error on far after the origin went on sending", "%s; %s", errors_of(tunnel.near), errors_of(tunnel.far));
    study_say("  the kernel tells the origin by itself", "%s", flow_wait(tunnel.origin, POLLRDHUP, 200) ? "yes" : "no");
    tunnel_close(&tunnel);
}

/* A peer that hears nothing any more: all that comes to it is thrown away before TCP sees it. */
static void errors_deafen(int fd)
{
    struct sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    struct sock_fprog program = {.len = 1, .filter = nothing};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0)
        study_fail("cannot deafen a socket");
}

static void errors_gone(const struct sockmap *map, bool with_data)
{
    struct flow up = {0};
    struct tunnel tunnel;
    tunnel_open(&tunnel);
    errors_set(tunnel.far, SOL_SOCKET, SO_KEEPALIVE, 1);
    errors_set(tunnel.far, IPPROTO_TCP, TCP_KEEPIDLE, 1);
    errors_set(tunnel.far, IPPROTO_TCP, TCP_KEEPINTVL, 1);
    errors_set(tunnel.far, IPPROTO_TCP, TCP_KEEPCNT, 1);
    study_join(map, tunnel.near, tunnel.far);
    if (with_data)
        errors_set(tunnel.far, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000);
    errors_deafen(tunnel.origin);
    if (with_data)
        flow_send(&up, tunnel.client, 1000);
    study_hold(with_data ? "an origin gone with bytes on their way (TCP_USER_TIMEOUT): far is told"
                         : "an origin gone in silence (keepalive, set before): far is told",
               flow_wait(tunnel.far, 0, GONE_MS));
    study_say("  error on far", "%s", errors_of(tunnel.far));
    tunnel_close(&tunnel);
}

/* ---- wake-ups ---- */

struct waiter {
    int epoll, stop;
    long returns, switches;
};

static void *errors_wait(void *argument)
{
    struct waiter *waiter = argument;
    struct rusage usage;
    struct epoll_event event;
    while (epoll_wait(waiter->epoll, &event, 1, -1) == 1 && event.data.fd != waiter->stop)
        waiter->returns++;
    getrusage(RUSAGE_THREAD, &usage);
    waiter->switches = usage.ru_nvcsw;
    return NULL;
}

static void errors_watch(int epoll, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        study_fail("cannot watch");
}

/* Messages there and back, one at a time, past a thread that waits for the events that a relay waits for. */
static void errors_wake_ups(const struct sockmap *map, uint32_t events, const char *title)
{
    struct flow up = {0}, down = {0};
    struct tunnel tunnel;
    pthread_t thread;
    struct waiter waiter = {.epoll = epoll_create1(EPOLL_CLOEXEC), .stop = eventfd(0, EFD_CLOEXEC)};
    tunnel_open(&tunnel);
    study_join(map, tunnel.near, tunnel.far);
    errors_watch(waiter.epoll, waiter.stop, EPOLLIN);
    errors_watch(waiter.epoll, tunnel.near, events);
    errors_watch(waiter.epoll, tunnel.far, events);
    if (pthread_create(&thread, NULL, errors_wait, &waiter) != 0)
        study_fail("no thread");
    for (int i = 0; i < MESSAGES; i++) {
        flow_run(&up, tunnel.client, tunnel.origin, 64);
        flow_run(&down, tunnel.origin, tunnel.client, 64);
    }
    eventfd_write(waiter.stop, 1);
    pthread_join(thread, NULL);
    study_say(title, "%ld %ld", waiter.returns, waiter.switches);
    close(waiter.epoll);
    close(waiter.stop);
    tunnel_close(&tunnel);
}

void study_errors(void)
{
    struct sockmap map;
    study_open(&map, SOCKMAP_VERDICT);
    errors_reset(&map);
    errors_gone(&map, false);
    errors_gone(&map, true);
    errors_wake_ups(&map, EPOLLIN | EPOLLRDHUP | EPOLLET, "4,000 messages, epoll for IN and RDHUP: returns; times it slept");
    errors_wake_ups(&map, EPOLLRDHUP | EPOLLET, "4,000 messages, epoll for RDHUP alone: returns; times it slept");
    sockmap_close(&map);
}
