/* Moves a tunnel's bytes: each way reads, writes at once, and waits with reading while the other side is full. */
#include "proxy/relay.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { CLIENT = 0, ORIGIN = 1 };

enum {
    RELAY_READS = 4,       /* in one callback, so that one busy tunnel does not hold up the others */
    RELAY_LOOK_MS = 30000, /* between looks at the peers */
    RELAY_DEAD_MS = 90000,
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

static void relay_finish(struct relay *relay, enum relay_end end)
{
    relay_stop(relay);
    relay->done(relay->arg, end);
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

/* Sets the timer for whichever comes first. */
static bool relay_arm(struct relay *relay)
{
    uint64_t at_ms = relay->idle_ms ? relay->last_ms + relay->idle_ms : UINT64_MAX;
    if (relay->next_look_ms && relay->next_look_ms < at_ms)
        at_ms = relay->next_look_ms;
    if (at_ms == UINT64_MAX)
        return true;
    uint64_t now_ms = loop_now_ms(relay->loop), wait_ms = at_ms > now_ms ? at_ms - now_ms : 0;
    const struct timeval wait = {.tv_sec = (time_t)(wait_ms / 1000), .tv_usec = (suseconds_t)(wait_ms % 1000 * 1000)};
    return evtimer_add(relay->timer, &wait) == 0;
}

/* Once a message has gone out the peers are looked at until all is acknowledged: one timer for many messages, none for a tunnel at rest. */
static void relay_want_look(struct relay *relay)
{
    if (relay->next_look_ms)
        return;
    relay->next_look_ms = loop_now_ms(relay->loop) + relay->look_ms;
    (void)relay_arm(relay);
}

/* What `to` did not take is kept; until it is out, the other side is not read. */
static bool relay_keep(struct relay *relay, int to, const uint8_t *bytes, size_t len)
{
    struct relay_side *side = &relay->side[to];
    assert(!side->kept);
    side->kept = malloc(len);
    if (!side->kept)
        return false;
    memcpy(side->kept, bytes, len);
    side->kept_len = (uint32_t)len;
    side->kept_at = 0;
    (void)event_del(relay->side[!to].readable);
    return event_add(side->writable, NULL) == 0;
}

/* Writes what the socket takes: 0, or an errno when it takes nothing any more. */
static int relay_send(struct relay *relay, int to, const uint8_t *bytes, size_t len, size_t *sent)
{
    ssize_t n;
    do
        n = send(relay->side[to].fd, bytes, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    *sent = n > 0 ? (size_t)n : 0;
    relay->side[to].passed += *sent;
    return n < 0 && errno != EAGAIN && errno != EWOULDBLOCK ? errno : 0;
}

/* True: go on reading. False: wait, or it is all over. */
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
        relay_finish(relay, RELAY_UNREACHABLE); /* out of memory: bytes are lost, so the tunnel must not look whole */
    return false;
}

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

/* True: more may be waiting. */
static bool relay_read(struct relay *relay, int from)
{
    ssize_t n = recv(relay->side[from].fd, relay->loop->scratch, LOOP_SCRATCH_SIZE, 0);
    if (n > 0)
        return relay_pass(relay, !from, relay->loop->scratch, (size_t)n) && n == LOOP_SCRATCH_SIZE;
    if (n == 0)
        relay_half_close(relay, from);
    else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        relay_finish(relay, relay_end_of(from, errno));
    return false;
}

static void relay_on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct relay *relay = arg;
    (void)what;
    relay->last_ms = loop_now_ms(relay->loop);
    for (int i = 0, from = relay_side_of(relay, fd); i < RELAY_READS && relay_read(relay, from); i++)
        ;
}

static void relay_on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct relay *relay = arg;
    int to = relay_side_of(relay, fd);
    struct relay_side *side = &relay->side[to];
    size_t sent;
    (void)what;
    int error = relay_send(relay, to, side->kept + side->kept_at, side->kept_len - side->kept_at, &sent);
    if (error) {
        relay_finish(relay, relay_end_of(to, error));
        return;
    }
    relay->last_ms = loop_now_ms(relay->loop);
    side->kept_at += (uint32_t)sent;
    if (side->kept_at < side->kept_len)
        return;
    free(side->kept);
    side->kept = NULL;
    (void)event_del(side->writable);
    if (event_add(relay->side[!to].readable, NULL) != 0)
        relay_finish(relay, RELAY_UNREACHABLE);
}

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
    if (peer_doubts(&relay->side[side].doubt, &sight, now_ms, relay->dead_ms)) {
        relay_finish(relay, RELAY_UNREACHABLE);
        return false;
    }
    *pending |= sight.pending || relay->side[side].kept || relay->side[side].read_ended;
    return true;
}

/* True: the relay goes on. */
static bool relay_look(struct relay *relay, uint64_t now_ms)
{
    bool pending = false;
    if (!relay_look_at(relay, CLIENT, now_ms, &pending) || !relay_look_at(relay, ORIGIN, now_ms, &pending))
        return false;
    relay->next_look_ms = pending ? now_ms + relay->look_ms : 0;
    return true;
}

static void relay_on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct relay *relay = arg;
    uint64_t now_ms = loop_now_ms(relay->loop);
    (void)fd;
    (void)what;
    if (relay->idle_ms && now_ms - relay->last_ms >= relay->idle_ms) {
        relay_finish(relay, RELAY_IDLE);
        return;
    }
    if (relay->next_look_ms && now_ms >= relay->next_look_ms && !relay_look(relay, now_ms))
        return;
    if (!relay_arm(relay))
        relay_finish(relay, RELAY_UNREACHABLE);
}

static bool relay_open(struct relay *relay, int which, int fd)
{
    struct relay_side *side = &relay->side[which];
    side->fd = fd;
    side->readable = event_new(relay->loop->base, fd, EV_READ | EV_PERSIST, relay_on_readable, relay);
    side->writable = event_new(relay->loop->base, fd, EV_WRITE | EV_PERSIST, relay_on_writable, relay);
    return side->readable && side->writable && event_add(side->readable, NULL) == 0;
}

/* An error is left for the event to find: `done` may not run yet. */
static bool relay_send_first(struct relay *relay, const uint8_t *first, size_t len)
{
    size_t sent;
    if (len == 0)
        return true;
    (void)relay_send(relay, ORIGIN, first, len, &sent);
    relay_want_look(relay);
    return sent == len || relay_keep(relay, ORIGIN, first + sent, len - sent);
}

bool relay_start(struct relay *relay, struct loop *loop, int client_fd, int origin_fd, const uint8_t *first, size_t first_len, uint64_t idle_ms,
                 void (*done)(void *arg, enum relay_end end), void *arg)
{
    *relay = (struct relay){.loop = loop, .idle_ms = idle_ms, .look_ms = RELAY_LOOK_MS, .dead_ms = RELAY_DEAD_MS, .done = done, .arg = arg};
    relay->last_ms = loop_now_ms(loop);
    relay->timer = evtimer_new(loop->base, relay_on_timer, relay);
    if (relay->timer && relay_open(relay, CLIENT, client_fd) && relay_open(relay, ORIGIN, origin_fd) && relay_send_first(relay, first, first_len) &&
        relay_arm(relay))
        return true;
    relay_stop(relay);
    return false;
}

void relay_stop(struct relay *relay)
{
    for (int i = 0; i < 2; i++) {
        struct relay_side *side = &relay->side[i];
        if (side->readable)
            event_free(side->readable);
        if (side->writable)
            event_free(side->writable);
        free(side->kept);
        side->readable = side->writable = NULL;
        side->kept = NULL;
    }
    if (relay->timer)
        event_free(relay->timer);
    relay->timer = NULL;
}

uint64_t relay_bytes_up(const struct relay *relay)
{
    return relay->side[ORIGIN].passed;
}

uint64_t relay_bytes_down(const struct relay *relay)
{
    return relay->side[CLIENT].passed;
}
