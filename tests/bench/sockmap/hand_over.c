/* Hand-over: from a relay that copies (it had to read a head and a hello) to the kernel, while the client sends, and back. */
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "study.h"
#include "tunnel.h"

enum { HELLO = 517, EARLY = 2000, ROUNDS = 200, STREAM = 512 * KIB };

static const char *const MODE_TEXT[] = {[SOCKMAP_VERDICT] = "verdict alone", [SOCKMAP_PARSER] = "with a parser"};

/* By hand, as any relay does it: one read, and all of that written. Returns how much. */
static ssize_t hand_over_copy(const struct tunnel *tunnel, size_t most)
{
    static uint8_t bytes[64 * KIB];
    ssize_t count = recv(tunnel->near, bytes, most < sizeof(bytes) ? most : sizeof(bytes), 0);
    if (count > 0 && send(tunnel->far, bytes, (size_t)count, MSG_NOSIGNAL) != count)
        study_fail("a write by hand did not fit");
    return count;
}

/* A tunnel in whose near socket so much stands unread. */
static void hand_over_open(struct tunnel *tunnel, struct flow *up, uint64_t unread)
{
    *up = (struct flow){0};
    tunnel_open(tunnel);
    flow_send(up, tunnel->client, unread);
    if (!flow_wait(tunnel->near, POLLIN, 1000))
        study_fail("nothing came to the relay");
}

static void hand_over_stall(enum sockmap_mode mode)
{
    struct flow up;
    struct tunnel tunnel;
    struct sockmap map;
    study_open(&map, mode);
    hand_over_open(&tunnel, &up, EARLY);
    if (sockmap_join(&map, tunnel.near, tunnel.far) != 0)
        study_fail("cannot join");
    flow_drain(&up, tunnel.origin, up.sent);
    study_say("2,000 bytes were there before: come without a kick", "%" PRIu64 " (%s)", up.taken, MODE_TEXT[mode]);
    flow_send(&up, tunnel.client, 1);
    flow_drain(&up, tunnel.origin, up.sent);
    study_say("  after one byte more", "%" PRIu64, up.taken);
    study_hold("  in their order", up.taken == EARLY + 1 && !up.wrong);
    tunnel_close(&tunnel);

    hand_over_open(&tunnel, &up, EARLY);
    study_join(&map, tunnel.near, tunnel.far);
    flow_drain(&up, tunnel.origin, up.sent);
    study_hold("  with a kick (SO_RCVLOWAT) they come at once", up.taken == EARLY && !up.wrong);
    tunnel_close(&tunnel);
    sockmap_close(&map);
}

/* The relay joins first and reads what is left afterwards. On kernels where that gives it bytes, they can be overtaken before it has written them. */
static void hand_over_read_late(const struct sockmap *map)
{
    struct flow up;
    struct tunnel tunnel;
    hand_over_open(&tunnel, &up, EARLY);
    if (sockmap_join(map, tunnel.near, tunnel.far) != 0)
        study_fail("cannot join");
    ssize_t found = hand_over_copy(&tunnel, SIZE_MAX);
    flow_drain(&up, tunnel.origin, up.sent);
    study_say("join, then read what is left: read; come; out of place", "%zd %" PRIu64 " %" PRIu64, found, up.taken, up.wrong);
    tunnel_close(&tunnel);
}

/* The relay has read a part of a segment when it joins. */
static void hand_over_partial(enum sockmap_mode mode)
{
    struct flow up;
    struct tunnel tunnel;
    struct sockmap map;
    study_open(&map, mode);
    hand_over_open(&tunnel, &up, EARLY);
    (void)hand_over_copy(&tunnel, HELLO);
    study_join(&map, tunnel.near, tunnel.far);
    flow_drain(&up, tunnel.origin, UINT64_MAX);
    study_say("517 of a segment of 2,000 read before: come; wrong ones", "%" PRIu64 " %" PRIu64 " (%s)", up.taken, up.wrong, MODE_TEXT[mode]);
    flow_send(&up, tunnel.client, 1000);
    flow_drain(&up, tunnel.origin, UINT64_MAX);
    study_say("  and after 1,000 bytes more", "%" PRIu64 " %" PRIu64, up.taken, up.wrong);
    tunnel_close(&tunnel);
    sockmap_close(&map);
}

/* A client in a process of its own, that never stops to wait for the relay. */
static pid_t hand_over_stream(int fd)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    struct flow up = {0};
    while (up.sent < STREAM && flow_wait(fd, POLLOUT, 5000))
        flow_send(&up, fd, 1 + up.sent % 3000 < STREAM - up.sent ? 1 + up.sent % 3000 : STREAM - up.sent);
    _exit(0);
}

/* Copies for a while, until it has read all there is; then joins and kicks. */
static bool hand_over_is_right(const struct sockmap *map, int round)
{
    struct flow up = {0};
    struct tunnel tunnel;
    ssize_t copied = 0, count = 1;
    tunnel_open(&tunnel);
    pid_t pid = hand_over_stream(tunnel.client);
    while (copied < 1 + round * 1000 && flow_wait(tunnel.near, POLLIN, 1000)) {
        while ((count = hand_over_copy(&tunnel, SIZE_MAX)) > 0)
            copied += count;
        flow_take(&up, tunnel.origin, UINT64_MAX);
    }
    study_join(map, tunnel.near, tunnel.far);
    flow_drain(&up, tunnel.origin, STREAM);
    uint64_t redirected = sockmap_count(map, tunnel.near).taken;
    waitpid(pid, NULL, 0);
    tunnel_close(&tunnel);
    return up.taken == STREAM && !up.wrong && redirected + (uint64_t)copied == STREAM;
}

static void hand_over_rounds(enum sockmap_mode mode)
{
    int right = 0;
    struct sockmap map;
    study_open(&map, mode);
    for (int i = 0; i < ROUNDS; i++)
        right += hand_over_is_right(&map, i);
    study_say("copy until nothing is left, join, kick, under way: right", "%d of %d (%s)", right, ROUNDS, MODE_TEXT[mode]);
    study_hold("  every byte once, in its order, and counted", right == ROUNDS);
    sockmap_close(&map);
}

static void hand_over_refused(const struct sockmap *map)
{
    struct flow up;
    struct tunnel tunnel;
    hand_over_open(&tunnel, &up, EARLY);
    (void)shutdown(tunnel.client, SHUT_WR);
    (void)flow_wait(tunnel.near, POLLRDHUP, 1000);
    int failed = sockmap_join(map, tunnel.near, tunnel.far);
    study_say("a client that has sent its FIN before: joining says", "%s", failed ? strerror(-failed) : "nothing");
    tunnel_close(&tunnel);
}

/* The program runs, but knows no way: as between the two steps, had both sockets stood in one map. */
static void hand_over_nowhere(const struct sockmap *map)
{
    struct flow up = {0};
    struct tunnel tunnel;
    tunnel_open(&tunnel);
    (void)sockmap_tap(map, tunnel.near);
    flow_send(&up, tunnel.client, EARLY);
    flow_drain(&up, tunnel.origin, EARLY);
    study_say("a tap without a way: sent; acknowledged to the client; come", "%" PRIu64 " %" PRIu64 " %" PRIu64, up.sent,
              tunnel_acked(tunnel.client) - 1, up.taken);
    tunnel_close(&tunnel);
}

/* Back to copying: no more is taken, what was taken is waited for, and only then are the maps left. */
static void hand_over_back(const struct sockmap *map)
{
    int right = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct flow up = {0};
        struct tunnel tunnel;
        tunnel_open(&tunnel);
        study_join(map, tunnel.near, tunnel.far);
        flow_send(&up, tunnel.client, 256 * KIB);
        (void)sockmap_untap(map, tunnel.near);
        flow_send(&up, tunnel.client, 64 * KIB);
        uint64_t taken = sockmap_count(map, tunnel.near).taken, copied = 0;
        while (tunnel_written(tunnel.far) < taken)
            flow_drain(&up, tunnel.origin, up.taken + 1);
        (void)sockmap_leave(map, tunnel.near);
        (void)sockmap_leave(map, tunnel.far);
        while (taken + copied < up.sent && flow_wait(tunnel.near, POLLIN, 1000)) {
            ssize_t count = hand_over_copy(&tunnel, SIZE_MAX);
            copied += count > 0 ? (uint64_t)count : 0;
            flow_take(&up, tunnel.origin, UINT64_MAX);
        }
        flow_drain(&up, tunnel.origin, up.sent);
        right += up.taken == up.sent && !up.wrong && copied > 0;
        tunnel_close(&tunnel);
    }
    study_say("untap, wait until all taken is written, leave, copy: right", "%d of %d", right, ROUNDS);
    study_hold("  there is a way back", right == ROUNDS);
}

void study_hand_over(void)
{
    struct sockmap map;
    hand_over_stall(SOCKMAP_VERDICT);
    hand_over_stall(SOCKMAP_PARSER);
    study_open(&map, SOCKMAP_VERDICT);
    hand_over_read_late(&map);
    hand_over_nowhere(&map);
    hand_over_refused(&map);
    hand_over_partial(SOCKMAP_VERDICT);
    hand_over_partial(SOCKMAP_PARSER);
    hand_over_rounds(SOCKMAP_VERDICT);
    hand_over_rounds(SOCKMAP_PARSER);
    hand_over_back(&map);
    sockmap_close(&map);
}
