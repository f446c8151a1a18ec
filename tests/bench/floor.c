/* The floors: bare relays, which make the system calls that a tunnel cannot do without, and decide, resolve and record nothing. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"
#include "roles.h"

#define ESTABLISHED "HTTP/1.1 200 Connection established\r\n\r\n"

enum { PIPE_SIZE = 1 << 20, WATCHED = EPOLLIN | EPOLLRDHUP | EPOLLET };

struct tunnel {
    struct watch client, origin;
    struct way {
        uint8_t *kept; /* what the other side did not take */
        uint32_t at, len;
        int pipe[2];
        bool ended;
    } up, down;
    bool open, waits; /* waits: the client's watch is for writing too */
};

static const struct options *floor_options;

/* ---- bytes ---- */

static void way_free(struct way *way)
{
    free(way->kept);
    if (way->pipe[0] > 0) {
        close(way->pipe[0]);
        close(way->pipe[1]);
    }
}

static void tunnel_close(struct tunnel *tunnel)
{
    way_free(&tunnel->up);
    way_free(&tunnel->down);
    close(tunnel->client.fd);
    if (tunnel->origin.fd >= 0)
        close(tunnel->origin.fd);
    tunnel->client.fd = tunnel->origin.fd = -1;
    net_bury(tunnel);
}

static bool way_keep(struct way *way, const uint8_t *bytes, size_t len)
{
    way->kept = malloc(len);
    if (!way->kept)
        return false;
    memcpy(way->kept, bytes, len);
    way->at = 0;
    way->len = (uint32_t)len;
    return true;
}

/* Each of these: 1 when there may be more, 0 when it must wait, -1 at the end or a fault (`ended` tells them apart). */

static int way_flush(struct way *way, int to)
{
    ssize_t sent = send(to, way->kept + way->at, way->len - way->at, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN ? 0 : -1;
    way->at += (uint32_t)sent;
    if (way->at < way->len)
        return 0;
    free(way->kept);
    way->kept = NULL;
    return 1;
}

static int way_copy(struct way *way, int from, int to, bool last)
{
    if (way->kept) {
        int flushed = way_flush(way, to);
        if (flushed <= 0)
            return flushed;
    }
    ssize_t got = recv(from, net_scratch, NET_BUFFER, 0);
    if (got <= 0) {
        way->ended = got == 0;
        return got < 0 && errno == EAGAIN ? 0 : -1;
    }
    ssize_t sent = send(to, net_scratch, (size_t)got, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        return -1;
    if (sent < got)
        return way_keep(way, net_scratch + (sent > 0 ? sent : 0), (size_t)(got - (sent > 0 ? sent : 0))) ? 0 : -1;
    return got == NET_BUFFER || last;
}

/* `len` is what stands in the pipe. */
static int way_splice(struct way *way, int from, int to)
{
    if (way->pipe[0] == 0 && (pipe2(way->pipe, O_NONBLOCK | O_CLOEXEC) != 0 || fcntl(way->pipe[1], F_SETPIPE_SZ, PIPE_SIZE) < 0))
        net_fail("floor: no pipe");
    if (way->len == 0) {
        ssize_t got = splice(from, NULL, way->pipe[1], NULL, PIPE_SIZE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (got <= 0) {
            way->ended = got == 0;
            return got < 0 && errno == EAGAIN ? 0 : -1;
        }
        way->len = (uint32_t)got;
    }
    ssize_t sent = splice(way->pipe[0], NULL, to, NULL, way->len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (sent <= 0)
        return sent < 0 && errno == EAGAIN ? 0 : -1;
    way->len -= (uint32_t)sent;
    return 1;
}

/* False: the tunnel is gone. */
static bool tunnel_move(struct tunnel *tunnel, struct way *way, const struct watch *from, const struct watch *to, bool last)
{
    int more;
    if (way->ended)
        return true;
    do
        more = floor_options->splice ? way_splice(way, from->fd, to->fd) : way_copy(way, from->fd, to->fd, last);
    while (more > 0);
    if (more == 0)
        return true;
    if (!way->ended || (tunnel->up.ended && tunnel->down.ended)) {
        tunnel_close(tunnel);
        return false;
    }
    (void)shutdown(to->fd, SHUT_WR);
    return true;
}

/* The client's socket is watched for room only when it had none. */
static void tunnel_want_room(struct tunnel *tunnel)
{
    bool full = tunnel->down.kept || (floor_options->splice && tunnel->down.len > 0);
    if (full == tunnel->waits)
        return;
    tunnel->waits = full;
    net_rewatch(&tunnel->client, full ? WATCHED | EPOLLOUT : WATCHED);
}

static bool tunnel_up(struct tunnel *tunnel, uint32_t events)
{
    return tunnel_move(tunnel, &tunnel->up, &tunnel->client, &tunnel->origin, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
}

static void tunnel_down(struct tunnel *tunnel, uint32_t events)
{
    if (tunnel_move(tunnel, &tunnel->down, &tunnel->origin, &tunnel->client, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        tunnel_want_room(tunnel);
}

/* ---- from the first byte to the open tunnel ---- */

static void tunnel_opened(struct tunnel *tunnel, uint32_t events)
{
    bool failed = events & (EPOLLERR | EPOLLHUP);
    tunnel->open = true;
    if (failed || (tunnel->up.kept ? way_flush(&tunnel->up, tunnel->origin.fd) <= 0
                                   : send(tunnel->client.fd, ESTABLISHED, strlen(ESTABLISHED), MSG_NOSIGNAL) < 0))
        tunnel_close(tunnel);
}

static void tunnel_origin_ready(struct watch *watch, uint32_t events)
{
    struct tunnel *tunnel = (struct tunnel *)((char *)watch - offsetof(struct tunnel, origin));
    if (!tunnel->open) {
        tunnel_opened(tunnel, events);
        return;
    }
    if ((events & EPOLLOUT) && (tunnel->up.kept || (floor_options->splice && tunnel->up.len > 0)) && !tunnel_up(tunnel, 0))
        return;
    if (events & ~(uint32_t)EPOLLOUT)
        tunnel_down(tunnel, events);
}

static void tunnel_dial(struct tunnel *tunnel)
{
    tunnel->origin = (struct watch){tunnel_origin_ready, net_connect(&floor_options->to)};
    net_watch(&tunnel->origin, WATCHED | EPOLLOUT);
}

/* A head or a hello is taken to be whole: the load sends each in one piece. */
static void tunnel_first(struct tunnel *tunnel)
{
    ssize_t got = recv(tunnel->client.fd, net_scratch, NET_BUFFER, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0 || floor_options->reject || (floor_options->sni && !way_keep(&tunnel->up, net_scratch, (size_t)got)))
        tunnel_close(tunnel);
    else
        tunnel_dial(tunnel);
}

static void tunnel_client_ready(struct watch *watch, uint32_t events)
{
    struct tunnel *tunnel = (struct tunnel *)watch;
    if (tunnel->origin.fd < 0) {
        tunnel_first(tunnel);
        return;
    }
    if ((events & EPOLLOUT) && tunnel->waits)
        tunnel_down(tunnel, 0);
    if (tunnel->open && tunnel->client.fd >= 0 && (events & ~(uint32_t)EPOLLOUT))
        tunnel_up(tunnel, events);
}

static void floor_accept(struct watch *watch, uint32_t events)
{
    (void)events;
    int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct tunnel *tunnel = fd >= 0 ? calloc(1, sizeof(*tunnel)) : NULL;
    if (!tunnel) {
        if (errno == EAGAIN || errno == ECONNABORTED)
            return;
        net_fail("floor: cannot accept");
    }
    tunnel->client = (struct watch){tunnel_client_ready, fd};
    tunnel->origin.fd = -1;
    net_watch(&tunnel->client, WATCHED);
}

void floor_run(const struct options *options)
{
    struct watch door = {floor_accept, net_listen(options->transparent)};
    floor_options = options;
    net_watch(&door, EPOLLIN);
    for (;;)
        net_turn(-1);
}
