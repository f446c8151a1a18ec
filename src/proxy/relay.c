/* Moves a tunnel's bytes: each way reads, writes at once, and waits with reading while the other side is full. */
#include "proxy/relay.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/meter.h"
#include "proxy/pipe_pool.h"

enum { CLIENT = 0, ORIGIN = 1 };

enum {
    RELAY_READS = 4,      /* in one callback, so that one busy tunnel does not hold up the others */
    RELAY_DEAD_LOOKS = 3, /* how long a peer may be silent */

    /* Copying is cheaper for small portions, splicing through a pipe for large ones, the more so the larger the pipe. */
    RELAY_LARGE = 32 << 10,
    RELAY_SMALL = 4 << 10,
    RELAY_BULK_SPLICED = 2, /* from so much `bulk` on a pipe is taken … */
    RELAY_BULK_GROWN = 6,   /* … a larger one … */
    RELAY_BULK_MAX = 12,    /* … the largest */
};

static const char *const RELAY_END_TEXTS[] = {
    [RELAY_CLIENT_EOF] = "client_eof",
    [RELAY_ORIGIN_EOF] = "origin_eof",
    [RELAY_CLIENT_RESET] = "client_reset",
    [RELAY_ORIGIN_RESET] = "origin_reset",
    [RELAY_IDLE] = "idle",
    [RELAY_UNREACHABLE] = "unreachable",
};

const char *relay_end_text(enum relay_end end)
{
    return RELAY_END_TEXTS[end];
}

static void relay_on_writable(evutil_socket_t fd, short what, void *arg);

static void relay_finish(struct relay *relay, enum relay_end end)
{
    relay_stop(relay);
    relay->settings.done(relay->settings.arg, end);
}

/* Out of memory: bytes would be lost, so the tunnel must not look whole. */
static void relay_give_up(struct relay *relay)
{
    relay_finish(relay, RELAY_UNREACHABLE);
}

static enum relay_end relay_end_of(int side, int error)
{
    switch (error) {
    case ETIMEDOUT: /* keepalive or retransmissions gave up; the others say what the network answered meanwhile */
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
        return RELAY_UNREACHABLE;
    default:
        return side == CLIENT ? RELAY_CLIENT_RESET : RELAY_ORIGIN_RESET;
    }
}

/* Once a message has gone out the peers are looked at until all is acknowledged; one look will do for many messages. */
static void relay_want_look(struct relay *relay)
{
    if (!wait_is_on(&relay->look))
        wait_start(relay->loop->looks, &relay->look);
}

/* ---- writing ---- */

/* Until the backlog, the relay's from here on, is out, the other side is not read. */
static bool relay_hold_back(struct relay *relay, int to, struct relay_backlog *backlog)
{
    struct relay_side *side = &relay->side[to];
    assert(!side->backlog);
    side->backlog = backlog;
    backlog->writable = loop_event(relay->loop, side->fd, EV_WRITE | EV_PERSIST, relay_on_writable, relay);
    (void)event_del(relay->side[!to].readable);
    return backlog->writable && event_add(backlog->writable, NULL) == 0;
}

/* What `to` did not take is kept. */
static bool relay_keep(struct relay *relay, int to, const uint8_t *bytes, size_t len)
{
    struct relay_backlog *backlog = malloc(sizeof(*backlog) + len);
    if (!backlog)
        return false;
    *backlog = (struct relay_backlog){.len = len};
    memcpy(backlog->bytes, bytes, len);
    return relay_hold_back(relay, to, backlog);
}

/* … where it is. */
static bool relay_keep_pipe(struct relay *relay, int to, struct pipe *pipe, size_t len)
{
    struct relay_backlog *backlog = malloc(sizeof(*backlog));
    if (!backlog) {
        pipe_pool_drop(relay->loop->pipes, pipe);
        return false;
    }
    *backlog = (struct relay_backlog){.len = len, .pipe = pipe};
    return relay_hold_back(relay, to, backlog);
}

/* What a write says: 0, or an errno when the socket takes nothing any more. */
static int relay_written(struct relay *relay, int to, ssize_t n, size_t *sent)
{
    *sent = n > 0 ? (size_t)n : 0;
    if (n < 0)
        return errno != EAGAIN && errno != EWOULDBLOCK ? errno : 0;
    relay->side[to].passed += *sent;
    if (relay->settings.meter)
        meter_read(relay->settings.meter, relay_bytes_up(relay), relay_bytes_down(relay), relay->last_ms);
    return 0;
}

static int relay_send(struct relay *relay, int to, const uint8_t *bytes, size_t len, size_t *sent)
{
    ssize_t n;
    do
        n = send(relay->side[to].fd, bytes, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return relay_written(relay, to, n, sent);
}

static int relay_drain(struct relay *relay, int to, const struct pipe *pipe, size_t len, size_t *sent)
{
    ssize_t n;
    do
        n = splice(pipe->out, NULL, relay->side[to].fd, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (n < 0 && errno == EINTR);
    return relay_written(relay, to, n, sent);
}

/* A portion goes out to `to`. True: go on reading. False: wait, or it is all over. */
static bool relay_pass(struct relay *relay, int to, const uint8_t *bytes, size_t len)
{
    size_t sent;
    int error = relay_send(relay, to, bytes, len, &sent);
    if (error) {
        relay_finish(relay, relay_end_of(to, error));
        return false;
    }
    relay_want_look(relay);
    if (sent == len)
        return true;
    if (!relay_keep(relay, to, bytes + sent, len - sent))
        relay_give_up(relay);
    return false;
}

/* … which are in a pipe. */
static void relay_pass_pipe(struct relay *relay, int to, struct pipe *pipe, size_t len)
{
    size_t sent;
    int error = relay_drain(relay, to, pipe, len, &sent);
    if (error) {
        pipe_pool_drop(relay->loop->pipes, pipe);
        relay_finish(relay, relay_end_of(to, error));
        return;
    }
    relay_want_look(relay);
    if (sent == len) {
        pipe_pool_give(relay->loop->pipes, pipe);
        return;
    }
    if (!relay_keep_pipe(relay, to, pipe, len - sent))
        relay_give_up(relay);
}

/* ---- reading ---- */

/* Passes on a FIN. The side that sent it is not read any more, nor watched: looks find out when it resets. */
static void relay_half_close(struct relay *relay, int from)
{
    struct relay_side *other = &relay->side[!from];
    relay->side[from].read_ended = true;
    (void)event_del(relay->side[from].readable);
    (void)shutdown(other->fd, SHUT_WR); /* fails only on one that has been reset, which its own events or looks will say */
    if (other->read_ended) {
        relay_finish(relay, relay->origin_first ? RELAY_ORIGIN_EOF : RELAY_CLIENT_EOF);
        return;
    }
    relay->origin_first = from == ORIGIN;
    relay_want_look(relay);
}

static int relay_side_of(const struct relay *relay, evutil_socket_t fd)
{
    return fd == relay->side[ORIGIN].fd ? ORIGIN : CLIENT;
}

/* What a read that brought nothing means. */
static void relay_read_nothing(struct relay *relay, int from, ssize_t n)
{
    if (n == 0)
        relay_half_close(relay, from);
    else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        relay_finish(relay, relay_end_of(from, errno));
}

/* A way is judged by its last portions: one that is neither large nor small changes nothing. */
static void relay_weigh(struct relay_side *way, size_t len)
{
    if (len >= RELAY_LARGE && way->bulk < RELAY_BULK_MAX)
        way->bulk++;
    else if (len < RELAY_SMALL && way->bulk > 0)
        way->bulk--;
}

/* True: more may be waiting. */
static bool relay_copy(struct relay *relay, int from)
{
    ssize_t n = recv(relay->side[from].fd, relay->loop->scratch, LOOP_SCRATCH_SIZE, 0);
    if (n <= 0) {
        relay_read_nothing(relay, from, n);
        return false;
    }
    relay_weigh(&relay->side[!from], (size_t)n);
    return relay_pass(relay, !from, relay->loop->scratch, (size_t)n) && n == LOOP_SCRATCH_SIZE;
}

static void relay_splice(struct relay *relay, int from, struct pipe *pipe)
{
    ssize_t n = splice(relay->side[from].fd, NULL, pipe->in, NULL, pipe->size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n > 0) {
        relay_weigh(&relay->side[!from], (size_t)n);
        relay_pass_pipe(relay, !from, pipe, (size_t)n);
        return;
    }
    const int error = errno;
    pipe_pool_give(relay->loop->pipes, pipe);
    errno = error;
    relay_read_nothing(relay, from, n);
}

static void relay_copy_some(struct relay *relay, int from)
{
    for (int i = 0; i < RELAY_READS; i++) {
        if (!relay_copy(relay, from))
            return;
    }
}

/* A pipe for a way that carries much; NULL: copy. */
static struct pipe *relay_take_pipe(const struct relay *relay, int to)
{
    const uint8_t bulk = relay->side[to].bulk;
    const size_t size = bulk < RELAY_BULK_GROWN ? PIPE_SIZE_FIRST : bulk < RELAY_BULK_MAX ? PIPE_SIZE_GROWN : PIPE_SIZE_MAX;
    return bulk >= RELAY_BULK_SPLICED && relay->loop->pipes ? pipe_pool_take(relay->loop->pipes, size) : NULL;
}

static void relay_on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct relay *relay = arg;
    const int from = relay_side_of(relay, fd);
    (void)what;
    relay->last_ms = loop_now_ms(relay->loop);
    struct pipe *pipe = relay_take_pipe(relay, !from);
    if (pipe)
        relay_splice(relay, from, pipe);
    else
        relay_copy_some(relay, from);
}

/* ---- what was kept ---- */

static void relay_forget_kept(struct relay *relay, struct relay_side *side)
{
    struct relay_backlog *backlog = side->backlog;
    if (!backlog)
        return;
    if (backlog->pipe && backlog->at < backlog->len)
        pipe_pool_drop(relay->loop->pipes, backlog->pipe);
    else if (backlog->pipe)
        pipe_pool_give(relay->loop->pipes, backlog->pipe);
    loop_drop(&backlog->writable);
    free(backlog);
    side->backlog = NULL;
}

static void relay_on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct relay *relay = arg;
    int to = relay_side_of(relay, fd);
    struct relay_backlog *backlog = relay->side[to].backlog;
    const size_t left = backlog->len - backlog->at;
    size_t sent;
    (void)what;
    relay->last_ms = loop_now_ms(relay->loop);
    int error = backlog->pipe ? relay_drain(relay, to, backlog->pipe, left, &sent) : relay_send(relay, to, backlog->bytes + backlog->at, left, &sent);
    if (error) {
        relay_finish(relay, relay_end_of(to, error));
        return;
    }
    backlog->at += sent;
    if (backlog->at < backlog->len)
        return;
    relay_forget_kept(relay, &relay->side[to]);
    if (event_add(relay->side[!to].readable, NULL) != 0)
        relay_give_up(relay);
}

/* ---- the watch for dead peers ---- */

/* A side that is not read (half-closed, or held back) has no event that would tell of its end: ask for its error. True: it goes on. */
static bool relay_look_at(struct relay *relay, int side, uint64_t now_ms, bool *pending)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(relay->side[side].fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error) {
        relay_finish(relay, relay_end_of(side, error));
        return false;
    }
    const struct peer_sight sight = peer_see(relay->side[side].fd);
    if (peer_doubts(&relay->side[side].doubt, &sight, now_ms, RELAY_DEAD_LOOKS * wait_line_ms(relay->loop->looks))) {
        relay_finish(relay, RELAY_UNREACHABLE);
        return false;
    }
    *pending |= sight.pending || relay->side[side].backlog || relay->side[side].read_ended;
    return true;
}

static void relay_keep_alive(struct relay *relay)
{
    for (int i = 0; i < 2 && !relay->kept_alive; i++)
        peer_keep_alive(relay->side[i].fd, relay->settings.keepalive_ms);
    relay->kept_alive = true;
}

static void relay_on_look(struct waiter *look)
{
    struct relay *relay = (struct relay *)look;
    const uint64_t now_ms = loop_now_ms(relay->loop);
    bool pending = false;
    relay_keep_alive(relay);
    if (relay_look_at(relay, CLIENT, now_ms, &pending) && relay_look_at(relay, ORIGIN, now_ms, &pending) && pending)
        relay_want_look(relay);
}

struct wait_line *relay_looks_new(struct loop *loop, uint64_t look_ms)
{
    return wait_line_new(loop, look_ms, relay_on_look);
}

/* ---- idleness ---- */

/* Messages do not touch the timer: when it rings, it is set again for what is left. */
static void relay_on_idle(evutil_socket_t fd, short what, void *arg)
{
    struct relay *relay = arg;
    const uint64_t idle_ms = relay->settings.idle_ms, silent_ms = loop_now_ms(relay->loop) - relay->last_ms;
    (void)fd;
    (void)what;
    if (silent_ms >= idle_ms)
        relay_finish(relay, RELAY_IDLE);
    else if (!loop_ring_in_ms(relay->idle, idle_ms - silent_ms))
        relay_give_up(relay);
}

/* ---- beginning and end ---- */

static bool relay_open(struct relay *relay, int which, int fd)
{
    struct relay_side *side = &relay->side[which];
    side->fd = fd;
    side->readable = loop_event(relay->loop, fd, EV_READ | EV_PERSIST, relay_on_readable, relay);
    return side->readable && event_add(side->readable, NULL) == 0;
}

/* An error is left for the event to find: `done` may not run yet. */
static bool relay_send_first(struct relay *relay, const uint8_t *first, size_t len)
{
    size_t sent;
    if (len == 0)
        return true;
    (void)relay_send(relay, ORIGIN, first, len, &sent);
    return sent == len || relay_keep(relay, ORIGIN, first + sent, len - sent);
}

/* The first look comes also when nothing was sent: it is what sets keepalive, where that can wait so long. */
static bool relay_watch(struct relay *relay)
{
    const struct relay_settings *settings = &relay->settings;
    relay_want_look(relay);
    if (settings->keepalive_ms && settings->keepalive_ms < wait_line_ms(relay->loop->looks))
        relay_keep_alive(relay);
    if (!settings->idle_ms)
        return true;
    relay->idle = loop_event(relay->loop, -1, 0, relay_on_idle, relay);
    return relay->idle && loop_ring_in_ms(relay->idle, settings->idle_ms);
}

bool relay_start(struct relay *relay, struct loop *loop, int client_fd, int origin_fd, const uint8_t *first, size_t first_len,
                 const struct relay_settings *settings)
{
    *relay = (struct relay){.loop = loop, .settings = *settings};
    relay->last_ms = loop_now_ms(loop);
    if (relay_open(relay, CLIENT, client_fd) && relay_open(relay, ORIGIN, origin_fd) && relay_send_first(relay, first, first_len) &&
        relay_watch(relay))
        return true;
    relay_stop(relay);
    return false;
}

void relay_stop(struct relay *relay)
{
    for (int i = 0; i < 2; i++) {
        loop_drop(&relay->side[i].readable);
        relay_forget_kept(relay, &relay->side[i]);
    }
    wait_cancel(&relay->look);
    loop_drop(&relay->idle);
}

uint64_t relay_bytes_up(const struct relay *relay)
{
    return relay->side[ORIGIN].passed;
}

uint64_t relay_bytes_down(const struct relay *relay)
{
    return relay->side[CLIENT].passed;
}
