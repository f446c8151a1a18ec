/* The relay between two ends that this test plays itself, on the same loop: bytes, half-closes, resets, back-pressure, silence. */
#include "proxy/relay.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"
#include "proxy/pipe_pool.h"

enum { CLIENT = 0, ORIGIN = 1, CHUNK = 16384, LONG_MS = 20000, KIB = 1024, MIB = 1024 * 1024 };

struct test;

/* One end of the tunnel, played by the test. Every byte it sends depends on its place in the stream, so that the other end can check each. */
struct peer {
    struct test *test;
    struct event *readable, *writable;
    int fd;                /* the peer's own */
    int tunnel_fd;         /* the relay's end */
    uint64_t seed;         /* of what it sends */
    uint64_t to_send, sent, got;
    uint64_t want;         /* rings the bell when it has got so much */
    bool fin;              /* shuts down once all is sent */
    bool saw_fin;
    int error;
};

struct test {
    struct loop *loop;
    struct pipe_budget budget;
    struct peer peer[2];
    struct relay relay;
    struct relay_settings settings;
    enum relay_end end;
    unsigned ends;
    bool ended, bell;
};

static uint8_t stream_byte(uint64_t seed, uint64_t place)
{
    uint64_t word = (seed + place / 8) * 0x9e3779b97f4a7c15;
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
    return (uint8_t)((word ^ word >> 27) >> (place % 8 * 8));
}

static void stream_make(uint8_t *bytes, size_t len, uint64_t seed, uint64_t place)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = stream_byte(seed, place + i);
}

static void peer_read(evutil_socket_t fd, short what, void *arg)
{
    struct peer *peer = arg;
    uint8_t bytes[CHUNK], expected[CHUNK];
    (void)what;
    ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    if (n > 0) {
        const struct peer *other = &peer->test->peer[peer == &peer->test->peer[CLIENT] ? ORIGIN : CLIENT];
        stream_make(expected, (size_t)n, other->seed, peer->got);
        cr_assert_arr_eq(bytes, expected, (size_t)n, "bytes differ from place %llu on", (unsigned long long)peer->got);
        peer->got += (uint64_t)n;
        peer->test->bell |= peer->want && peer->got >= peer->want;
    } else if (n == 0 || errno != EAGAIN) {
        peer->saw_fin = n == 0;
        peer->error = n < 0 ? errno : 0;
        peer->test->bell = true;
        event_del(peer->readable);
    }
}

static void peer_write(evutil_socket_t fd, short what, void *arg)
{
    struct peer *peer = arg;
    uint8_t bytes[CHUNK];
    (void)what;
    size_t len = peer->to_send - peer->sent < CHUNK ? (size_t)(peer->to_send - peer->sent) : CHUNK;
    stream_make(bytes, len, peer->seed, peer->sent);
    ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
    peer->sent += n > 0 ? (uint64_t)n : 0;
    if (peer->sent < peer->to_send && (n >= 0 || errno == EAGAIN))
        return;
    event_del(peer->writable);
    if (peer->fin)
        shutdown(fd, SHUT_WR);
}

static void peer_send(struct peer *peer, uint64_t len, bool fin)
{
    peer->to_send += len;
    peer->fin = fin;
    cr_assert(event_add(peer->writable, NULL) == 0);
}

static void peer_open(struct test *test, int which, void (*pair)(int[2]))
{
    struct peer *peer = &test->peer[which];
    int fds[2];
    pair(fds);
    *peer = (struct peer){.test = test, .fd = fds[0], .tunnel_fd = fds[1], .seed = which ? 0x0f1e2d3c : 0x12345678};
    peer->readable = event_new(test->loop->base, peer->fd, EV_READ | EV_PERSIST, peer_read, peer);
    peer->writable = event_new(test->loop->base, peer->fd, EV_WRITE | EV_PERSIST, peer_write, peer);
    cr_assert(peer->readable && peer->writable && event_add(peer->readable, NULL) == 0);
}

/* Takes the peer away: with RST, or what close does. */
static void peer_leave(struct peer *peer, bool reset)
{
    event_free(peer->readable);
    event_free(peer->writable);
    if (peer->fd >= 0 && reset)
        net_reset(peer->fd);
    else if (peer->fd >= 0)
        close(peer->fd);
    peer->readable = peer->writable = NULL;
    peer->fd = -1;
}

static void on_done(void *arg, enum relay_end end)
{
    struct test *test = arg;
    test->end = end;
    test->ends++;
    test->ended = test->bell = true;
    relay_stop(&test->relay); /* stopped twice is stopped */
}

static void look_every(struct test *test, uint64_t ms)
{
    wait_line_free(test->loop->looks);
    cr_assert((test->loop->looks = relay_looks_new(test->loop, ms)) != NULL);
}

static void setup(struct test *test, void (*pair)(int[2]))
{
    memset(test, 0, sizeof *test);
    test->loop = loop_new();
    test->budget.pipes.max = 8;
    test->budget.bytes.max = PIPE_POOL_MAX;
    cr_assert(test->loop && (test->loop->pipes = pipe_pool_new(test->loop, &test->budget)));
    look_every(test, RELAY_LOOK_MS);
    peer_open(test, CLIENT, pair);
    peer_open(test, ORIGIN, pair);
}

static void start(struct test *test, const uint8_t *first, size_t len, uint64_t idle_ms)
{
    test->settings.idle_ms = idle_ms;
    test->settings.done = on_done;
    test->settings.arg = test;
    cr_assert(relay_start(&test->relay, test->loop, test->peer[CLIENT].tunnel_fd, test->peer[ORIGIN].tunnel_fd, first, len, &test->settings));
    cr_assert_not(test->ended);
}

static void teardown(struct test *test)
{
    relay_stop(&test->relay);
    for (int i = 0; i < 2; i++) {
        if (test->peer[i].readable)
            peer_leave(&test->peer[i], false);
        close(test->peer[i].tunnel_fd);
    }
    pipe_pool_free(test->loop->pipes);
    wait_line_free(test->loop->looks);
    cr_expect_eq(test->budget.pipes.taken, 0);
    cr_expect_eq(test->budget.bytes.taken, 0);
    loop_free(test->loop);
}

static void expect_end(struct test *test, enum relay_end end)
{
    cr_assert(net_run(test->loop, &test->ended, LONG_MS), "it goes on");
    cr_expect_eq(test->end, end, "%s, not %s", relay_end_text(test->end), relay_end_text(end));
    cr_expect_eq(test->ends, 1);
}

static void wait_for(struct test *test, struct peer *peer, uint64_t len)
{
    peer->want = len;
    while (peer->got < len) {
        test->bell = false;
        cr_assert(net_run(test->loop, &test->bell, LONG_MS), "%llu of %llu bytes came", (unsigned long long)peer->got, (unsigned long long)len);
    }
    cr_assert_eq(peer->got, len);
}

static void expect_counts(const struct test *test, uint64_t up, uint64_t down)
{
    cr_expect_eq(relay_bytes_up(&test->relay), up);
    cr_expect_eq(relay_bytes_down(&test->relay), down);
    cr_expect_eq(test->peer[ORIGIN].got, up);
    cr_expect_eq(test->peer[CLIENT].got, down);
}

static void both_ways(void (*pair)(int[2]), uint64_t len, int buffer, size_t pipes)
{
    struct test test;
    setup(&test, pair);
    test.budget.pipes.max = pipes;
    for (int i = 0; i < 2; i++)
        cr_assert(setsockopt(test.peer[i].tunnel_fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer) == 0);
    start(&test, NULL, 0, 0);
    peer_send(&test.peer[CLIENT], len, true);
    peer_send(&test.peer[ORIGIN], len + 12345, true);
    cr_assert(net_run(test.loop, &test.ended, LONG_MS), "stuck after %llu up, %llu down", (unsigned long long)relay_bytes_up(&test.relay),
              (unsigned long long)relay_bytes_down(&test.relay));
    cr_expect(test.end == RELAY_CLIENT_EOF || test.end == RELAY_ORIGIN_EOF);
    wait_for(&test, &test.peer[ORIGIN], len); /* what the sockets still hold */
    wait_for(&test, &test.peer[CLIENT], len + 12345);
    expect_counts(&test, len, len + 12345);
    teardown(&test);
}

Test(relay, sixty_four_mebibytes_both_ways_through_small_buffers)
{
    both_ways(net_tcp_pair, 64 * MIB, 16 * KIB, 8);
}

Test(relay, sixty_four_mebibytes_both_ways_through_large_buffers)
{
    both_ways(net_tcp_pair, 64 * MIB, 4 * MIB, 8);
}

/* How many pipes there were at most. */
static size_t pipes_needed(uint64_t portion, unsigned portions)
{
    struct test test;
    size_t most = 0;
    setup(&test, net_tcp_pair);
    start(&test, NULL, 0, 0);
    for (unsigned i = 0; i < portions; i++) {
        peer_send(&test.peer[ORIGIN], portion, false);
        wait_for(&test, &test.peer[CLIENT], test.peer[ORIGIN].to_send);
        most = test.budget.pipes.taken > most ? test.budget.pipes.taken : most;
    }
    teardown(&test);
    return most;
}

Test(relay, only_large_portions_go_through_a_pipe)
{
    cr_expect_eq(pipes_needed(64, 1000), 0);
    cr_expect_eq(pipes_needed(4 * MIB, 4), 1);
}

Test(relay, what_is_in_a_pipe_when_it_ends_is_closed_with_it)
{
    struct test test;
    setup(&test, net_tcp_pair);
    start(&test, NULL, 0, 0);
    peer_send(&test.peer[ORIGIN], 8 * MIB, false);
    wait_for(&test, &test.peer[CLIENT], 8 * MIB);
    event_del(test.peer[CLIENT].readable);
    peer_send(&test.peer[ORIGIN], 64 * MIB, false);
    while (!test.relay.side[CLIENT].backlog || !test.relay.side[CLIENT].backlog->pipe)
        cr_assert_not(net_run(test.loop, &test.ended, 20));
    peer_leave(&test.peer[CLIENT], true);
    expect_end(&test, RELAY_CLIENT_RESET);
    teardown(&test);
}

Test(relay, one_pipe_for_two_ways)
{
    both_ways(net_tcp_pair, 16 * MIB, 4 * MIB, 1);
}

Test(relay, where_there_are_no_pipes_it_copies)
{
    both_ways(net_tcp_pair, 16 * MIB, 4 * MIB, 0);
}

Test(relay, both_ways_through_the_smallest_unix_buffers)
{
    both_ways(net_unix_pair, 4 * MIB, 1, 8);
}

static void request_and_answer(int first, enum relay_end end)
{
    struct test test;
    setup(&test, net_tcp_pair);
    start(&test, NULL, 0, 0);
    struct peer *asks = &test.peer[first], *answers = &test.peer[!first];
    peer_send(asks, 1000, true);
    wait_for(&test, answers, 1000);
    while (!answers->saw_fin)
        cr_assert(net_run(test.loop, &answers->saw_fin, LONG_MS), "the FIN was lost");
    cr_expect_not(test.ended, "half a close ended it");
    peer_send(answers, 3 * MIB, true);
    wait_for(&test, asks, 3 * MIB);
    expect_end(&test, end);
    cr_expect(net_run(test.loop, &asks->saw_fin, LONG_MS));
    expect_counts(&test, first == CLIENT ? 1000 : 3 * MIB, first == CLIENT ? 3 * MIB : 1000);
    teardown(&test);
}

Test(relay, half_close_by_the_client)
{
    request_and_answer(CLIENT, RELAY_CLIENT_EOF);
}

Test(relay, half_close_by_the_origin)
{
    request_and_answer(ORIGIN, RELAY_ORIGIN_EOF);
}

Test(relay, an_idle_tunnel_holds_no_buffer_and_no_timer)
{
    struct test test;
    setup(&test, net_tcp_pair);
    look_every(&test, 20);
    start(&test, NULL, 0, 0);
    peer_send(&test.peer[CLIENT], 5 * MIB, false);
    wait_for(&test, &test.peer[ORIGIN], 5 * MIB);
    for (int i = 0; i < 100 && wait_is_on(&test.relay.look); i++)
        net_run(test.loop, NULL, 20); /* a look after the last byte finds all acknowledged */
    for (int i = 0; i < 2; i++)
        cr_expect_null(test.relay.side[i].backlog);
    cr_expect_not(wait_is_on(&test.relay.look));
    cr_expect_null(test.relay.idle);
    teardown(&test);
}

Test(relay, both_legs_are_kept_alive_also_when_nothing_is_sent)
{
    struct test test;
    setup(&test, net_tcp_pair);
    look_every(&test, 20);
    test.settings.keepalive_ms = 60000;
    start(&test, NULL, 0, 0);
    while (wait_is_on(&test.relay.look))
        net_run(test.loop, NULL, 5);
    for (int i = 0; i < 2; i++) {
        const int fd = test.peer[i].tunnel_fd;
        cr_expect_neq(net_option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
        cr_expect_eq(net_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 60);
        cr_expect_eq(net_option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 15);
        cr_expect_eq(net_option(fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
        cr_expect_eq(net_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    }
    teardown(&test);
}

/* The first look would come too late. */
Test(relay, keepalive_that_is_shorter_than_the_line_is_set_at_once)
{
    struct test test;
    setup(&test, net_tcp_pair);
    test.settings.keepalive_ms = RELAY_LOOK_MS - 10000;
    start(&test, NULL, 0, 0);
    for (int i = 0; i < 2; i++) {
        cr_expect_neq(net_option(test.peer[i].tunnel_fd, SOL_SOCKET, SO_KEEPALIVE), 0);
        cr_expect_eq(net_option(test.peer[i].tunnel_fd, IPPROTO_TCP, TCP_KEEPIDLE), 20);
    }
    teardown(&test);
}

static void reset_by(int which, enum relay_end end)
{
    struct test test;
    setup(&test, net_tcp_pair);
    start(&test, NULL, 0, 0);
    peer_send(&test.peer[CLIENT], 100, false);
    wait_for(&test, &test.peer[ORIGIN], 100);
    peer_leave(&test.peer[which], true);
    expect_end(&test, end);
    cr_expect_eq(relay_bytes_up(&test.relay), 100);
    teardown(&test);
}

Test(relay, reset_by_the_client)
{
    reset_by(CLIENT, RELAY_CLIENT_RESET);
}

Test(relay, reset_by_the_origin)
{
    reset_by(ORIGIN, RELAY_ORIGIN_RESET);
}

/* Writing to one that has gone for good: its FIN was only the first half of the news. */
Test(relay, bytes_for_a_client_that_left)
{
    struct test test;
    setup(&test, net_tcp_pair);
    start(&test, NULL, 0, 0);
    peer_leave(&test.peer[CLIENT], false);
    cr_assert(net_run(test.loop, &test.peer[ORIGIN].saw_fin, LONG_MS));
    peer_send(&test.peer[ORIGIN], 8 * MIB, false);
    expect_end(&test, RELAY_CLIENT_RESET);
    teardown(&test);
}

Test(relay, reset_of_a_half_closed_side)
{
    struct test test;
    setup(&test, net_tcp_pair);
    look_every(&test, 20);
    start(&test, NULL, 0, 0);
    shutdown(test.peer[CLIENT].fd, SHUT_WR);
    cr_assert(net_run(test.loop, &test.peer[ORIGIN].saw_fin, LONG_MS));
    peer_leave(&test.peer[CLIENT], true);
    expect_end(&test, RELAY_CLIENT_RESET);
    teardown(&test);
}

/* The origin does not read, so the client's way is full and stops. */
static void fill_up(struct test *test)
{
    setup(test, net_tcp_pair);
    look_every(test, 20);
    start(test, NULL, 0, 0);
    event_del(test->peer[ORIGIN].readable);
    peer_send(&test->peer[CLIENT], 64 * MIB, true);
    for (uint64_t before = 1; before != test->peer[CLIENT].sent;) {
        before = test->peer[CLIENT].sent;
        net_run(test->loop, NULL, 100);
    }
    cr_assert_lt(test->peer[CLIENT].sent, 32 * MIB, "no back-pressure");
}

Test(relay, a_reader_that_pauses_holds_up_its_sender_and_lives)
{
    struct test test;
    fill_up(&test);
    cr_assert_not_null(test.relay.side[ORIGIN].backlog);
    cr_expect_leq(test.relay.side[ORIGIN].backlog->len, PIPE_SIZE_MAX);
    cr_expect_not(event_pending(test.relay.side[CLIENT].readable, EV_READ, NULL));
    peer_send(&test.peer[ORIGIN], 1 * MIB, false); /* the other way is open */
    wait_for(&test, &test.peer[CLIENT], 1 * MIB);
    net_run(test.loop, NULL, 1000); /* ten times what ends a silent peer; this one answers window probes */
    cr_assert_not(test.ended, "%s", relay_end_text(test.end));
    event_add(test.peer[ORIGIN].readable, NULL);
    wait_for(&test, &test.peer[ORIGIN], 64 * MIB);
    shutdown(test.peer[ORIGIN].fd, SHUT_WR);
    expect_end(&test, RELAY_CLIENT_EOF);
    expect_counts(&test, 64 * MIB, 1 * MIB);
    teardown(&test);
}

Test(relay, reset_of_a_side_that_is_held_back)
{
    struct test test;
    fill_up(&test);
    peer_leave(&test.peer[CLIENT], true);
    expect_end(&test, RELAY_CLIENT_RESET);
    teardown(&test);
}

Test(relay, reset_of_a_side_that_does_not_read)
{
    struct test test;
    fill_up(&test);
    peer_leave(&test.peer[ORIGIN], true);
    expect_end(&test, RELAY_ORIGIN_RESET);
    teardown(&test);
}

Test(relay, the_first_payload_goes_before_all_else)
{
    struct test test;
    const int smallest = 1;
    const size_t len = 300 * KIB;
    uint8_t *first = malloc(len);
    setup(&test, net_tcp_pair);
    cr_assert(setsockopt(test.peer[ORIGIN].tunnel_fd, SOL_SOCKET, SO_SNDBUF, &smallest, sizeof smallest) == 0);
    stream_make(first, len, test.peer[CLIENT].seed, 0);
    test.peer[CLIENT].sent = test.peer[CLIENT].to_send = len;
    peer_send(&test.peer[CLIENT], 100 * KIB, true); /* waits in the client's socket */
    net_run(test.loop, NULL, 20);
    start(&test, first, len, 0);
    cr_expect_not_null(test.relay.side[ORIGIN].backlog, "all of it fitted");
    memset(first, 0, len);
    free(first);
    wait_for(&test, &test.peer[ORIGIN], len + 100 * KIB);
    peer_send(&test.peer[ORIGIN], 0, true);
    expect_end(&test, RELAY_CLIENT_EOF);
    expect_counts(&test, len + 100 * KIB, 0);
    teardown(&test);
}

Test(relay, the_first_payload_meets_a_reset)
{
    struct test test;
    uint8_t first[100] = {0};
    setup(&test, net_tcp_pair);
    peer_leave(&test.peer[ORIGIN], true);
    start(&test, first, sizeof first, 0);
    expect_end(&test, RELAY_ORIGIN_RESET);
    cr_expect_eq(relay_bytes_up(&test.relay), 0);
    teardown(&test);
}

Test(relay, idle)
{
    struct test test;
    setup(&test, net_tcp_pair);
    uint64_t began_ms = net_now_ms();
    start(&test, NULL, 0, 1000);
    net_run(test.loop, NULL, 200);
    peer_send(&test.peer[ORIGIN], 1, false);
    expect_end(&test, RELAY_IDLE);
    cr_expect_geq(net_now_ms() - began_ms, 1190, "a byte did not put it off");
    expect_counts(&test, 0, 1);
    teardown(&test);
}

Test(relay, a_peer_that_vanished_ends_it)
{
    struct test test;
    if (!net_own_network())
        cr_skip_test("SKIPPED: needs a network of its own");
    setup(&test, net_tcp_pair);
    look_every(&test, 100);
    start(&test, NULL, 0, 0);
    peer_send(&test.peer[CLIENT], 100, false);
    wait_for(&test, &test.peer[ORIGIN], 100);
    /* The bytes are in the relay's socket already when the network goes: they are read, written, and never acknowledged. */
    peer_send(&test.peer[CLIENT], 100, false);
    peer_write(test.peer[CLIENT].fd, EV_WRITE, &test.peer[CLIENT]);
    net_set_lo(false);
    expect_end(&test, RELAY_UNREACHABLE);
    cr_expect_eq(relay_bytes_up(&test.relay), 200);
    teardown(&test);
}

Test(relay, keepalive_that_fails_ends_it)
{
    struct test test;
    const int on = 1, user_timeout_ms = 100;
    if (!net_own_network())
        cr_skip_test("SKIPPED: needs a network of its own");
    setup(&test, net_tcp_pair);
    int fd = test.peer[ORIGIN].tunnel_fd;
    cr_assert(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0 && setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &on, sizeof on) == 0 &&
              setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &on, sizeof on) == 0 && setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &on, sizeof on) == 0);
    cr_assert(setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms) == 0);
    start(&test, NULL, 0, 0);
    net_set_lo(false);
    expect_end(&test, RELAY_UNREACHABLE);
    teardown(&test);
}

/* Under ASan: wherever it stands, nothing is touched or kept afterwards. */
Test(relay, stopped_at_any_time)
{
    struct relay zeroed;
    memset(&zeroed, 0, sizeof zeroed);
    relay_stop(&zeroed);
    for (int turns = 0; turns < 60; turns++) {
        struct test test;
        const int smallest = 1;
        uint8_t first[8 * KIB];
        setup(&test, turns % 2 ? net_tcp_pair : net_unix_pair);
        cr_assert(setsockopt(test.peer[ORIGIN].tunnel_fd, SOL_SOCKET, SO_SNDBUF, &smallest, sizeof smallest) == 0);
        stream_make(first, sizeof first, test.peer[CLIENT].seed, 0);
        test.peer[CLIENT].sent = test.peer[CLIENT].to_send = sizeof first;
        start(&test, first, sizeof first, 1000);
        peer_send(&test.peer[CLIENT], 100 * KIB, turns % 3 == 0);
        peer_send(&test.peer[ORIGIN], 100 * KIB, turns % 5 == 0);
        for (int i = 0; i < turns; i++)
            event_base_loop(test.loop->base, EVLOOP_NONBLOCK);
        uint64_t up = relay_bytes_up(&test.relay);
        bool ended = test.ended;
        relay_stop(&test.relay);
        net_run(test.loop, NULL, 1);
        cr_expect_eq(relay_bytes_up(&test.relay), up, "the count is lost");
        cr_expect_eq(test.ended, ended, "done ran after the stop");
        teardown(&test);
    }
}

Test(relay, ends_have_words)
{
    cr_expect_str_eq(relay_end_text(RELAY_CLIENT_EOF), "client_eof");
    cr_expect_str_eq(relay_end_text(RELAY_UNREACHABLE), "unreachable");
}
