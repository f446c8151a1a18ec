/* Sockets over loopback, and the bytes through them. */
#include "tunnel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "study.h"

enum { CHUNK = 65536, QUIET_MS = 300 };

/* ---- sockets ---- */

static int tunnel_listen(struct sockaddr_in *address)
{
    socklen_t len = sizeof(*address);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)address, len) != 0 || listen(fd, 16) != 0 || getsockname(fd, (struct sockaddr *)address, &len) != 0)
        study_fail("no listening socket");
    return fd;
}

static void tunnel_connect(int *from, int *to)
{
    struct sockaddr_in address;
    const int on = 1;
    int listener = tunnel_listen(&address);
    *from = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*from < 0 || connect(*from, (struct sockaddr *)&address, sizeof(address)) != 0)
        study_fail("no connection");
    *to = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    close(listener);
    if (*to < 0)
        study_fail("no connection accepted");
    study_unblock(*from);
    (void)setsockopt(*from, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(*to, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void tunnel_open(struct tunnel *tunnel)
{
    tunnel_connect(&tunnel->client, &tunnel->near);
    tunnel_connect(&tunnel->far, &tunnel->origin);
}

void tunnel_shut(int *fd, bool reset)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (*fd < 0)
        return;
    if (reset)
        (void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(*fd);
    *fd = -1;
}

void tunnel_close(struct tunnel *tunnel)
{
    tunnel_shut(&tunnel->far, true);
    tunnel_shut(&tunnel->near, true);
    tunnel_shut(&tunnel->client, true);
    tunnel_shut(&tunnel->origin, true);
}

static struct tcp_info tunnel_info(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 || len <= offsetof(struct tcp_info, tcpi_bytes_retrans))
        study_fail("TCP_INFO does not count bytes here");
    return info;
}

uint64_t tunnel_received(int fd)
{
    return tunnel_info(fd).tcpi_bytes_received;
}

uint64_t tunnel_written(int fd)
{
    struct tcp_info info = tunnel_info(fd);
    return info.tcpi_bytes_sent - info.tcpi_bytes_retrans + info.tcpi_notsent_bytes;
}

uint64_t tunnel_acked(int fd)
{
    return tunnel_info(fd).tcpi_bytes_acked;
}

/* ---- flows ---- */

/* Anything that does not repeat soon: a byte that is lost, doubled or out of its place makes all that follow wrong. */
static uint8_t flow_byte(uint64_t place)
{
    return (uint8_t)((place * 0x9E3779B97F4A7C15u) >> 40);
}

bool flow_wait(int fd, short events, int patience_ms)
{
    struct pollfd watched = {.fd = fd, .events = events};
    return poll(&watched, 1, patience_ms) > 0;
}

static uint64_t least(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

uint64_t flow_send(struct flow *flow, int fd, uint64_t most)
{
    uint8_t bytes[CHUNK];
    uint64_t start = flow->sent;
    ssize_t count = 1;
    while (count > 0 && flow->sent - start < most) {
        size_t size = least(CHUNK, most - (flow->sent - start));
        for (size_t i = 0; i < size; i++)
            bytes[i] = flow_byte(flow->sent + i);
        count = send(fd, bytes, size, MSG_NOSIGNAL);
        flow->sent += count > 0 ? (uint64_t)count : 0;
    }
    return flow->sent - start;
}

uint64_t flow_take(struct flow *flow, int fd, uint64_t most)
{
    uint8_t bytes[CHUNK];
    uint64_t start = flow->taken;
    while (!flow->ended && !flow->error && flow->taken - start < most) {
        ssize_t count = recv(fd, bytes, least(CHUNK, most - (flow->taken - start)), 0);
        for (ssize_t i = 0; i < count; i++)
            flow->wrong += bytes[i] != flow_byte(flow->taken + (uint64_t)i);
        flow->taken += count > 0 ? (uint64_t)count : 0;
        flow->ended = count == 0;
        if (count < 0 && errno == EAGAIN)
            break;
        flow->error = count < 0 ? errno : 0;
    }
    return flow->taken - start;
}

void flow_fill(struct flow *flow, int fd)
{
    uint64_t end = flow->sent + FLOW_FILL_MAX;
    while (flow->sent < end && flow_wait(fd, POLLOUT, QUIET_MS) && flow_send(flow, fd, end - flow->sent) > 0)
        continue;
}

void flow_drain(struct flow *flow, int fd, uint64_t total)
{
    while (flow->taken < total && !flow->ended && !flow->error && flow_wait(fd, POLLIN, QUIET_MS))
        flow_take(flow, fd, total - flow->taken);
}

void flow_run(struct flow *flow, int from, int to, uint64_t bytes)
{
    uint64_t end = flow->sent + bytes;
    int quiet_ms = 0;
    while (flow->taken < end && !flow->ended && !flow->error && quiet_ms < QUIET_MS) {
        struct pollfd watched[] = {{.fd = to, .events = POLLIN}, {.fd = flow->sent < end ? from : -1, .events = POLLOUT}};
        uint64_t moved = 0;
        if (poll(watched, 2, QUIET_MS) > 0)
            moved = flow_take(flow, to, UINT64_MAX) + flow_send(flow, from, end - flow->sent);
        quiet_ms = moved ? 0 : quiet_ms + 100;
    }
}
