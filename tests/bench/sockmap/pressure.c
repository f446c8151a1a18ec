/* Back-pressure: a client that sends to an origin that does not read. Every flow here is bounded by FLOW_FILL_MAX, because the kernel's is not. */
#include <inttypes.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proc.h"
#include "study.h"
#include "tunnel.h"

enum { LOOK_MS = 1000, STALL_MS = 20, BACKLOG_MAX = 4 * MIB };

static uint32_t socket_memory(int fd, int which)
{
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof(memory);
    (void)getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &len);
    return memory[which];
}

static void pressure_say_places(const struct tunnel *tunnel, const struct flow *up)
{
    int unsent = 0, unread = 0;
    uint64_t received = tunnel_received(tunnel->near), written = tunnel_written(tunnel->far);
    (void)ioctl(tunnel->far, TIOCOUTQ, &unsent);
    (void)ioctl(tunnel->origin, FIONREAD, &unread);
    study_say("  the client could send, of which not yet received", "%" PRIu64 " %" PRIu64, up->sent, up->sent - received);
    study_say("  between the sockets", "%" PRIu64, received - written);
    study_say("  in far's send buffer; in the origin's receive buffer", "%d %d", unsent, unread);
    study_say("  charged to near for receiving, and its bound", "%u %u", socket_memory(tunnel->near, SK_MEMINFO_RMEM_ALLOC),
              socket_memory(tunnel->near, SK_MEMINFO_RCVBUF));
}

/* What a second of stall takes of the kernel's workers; they work for others too. */
static double pressure_workers_ms(void)
{
    double before = proc_workers_s();
    usleep(LOOK_MS * 1000);
    return (proc_workers_s() - before) * 1000;
}

static void pressure_stall(enum sockmap_mode mode, const char *title)
{
    struct flow up = {0};
    struct tunnel tunnel;
    struct sockmap map;
    study_open(&map, mode);
    tunnel_open(&tunnel);
    study_join(&map, tunnel.near, tunnel.far);
    double quiet_ms = pressure_workers_ms();
    uint64_t free_before = proc_number("/proc/meminfo", "MemAvailable:"), pages = proc_number("/proc/net/sockstat", "mem");
    study_say("stream verdict", "%s", title);
    flow_fill(&up, tunnel.client);
    pressure_say_places(&tunnel, &up);
    study_say("  memory of the machine gone; TCP's own account of it (KiB)", "%" PRIu64 " %" PRIu64,
              free_before - proc_number("/proc/meminfo", "MemAvailable:"), (proc_number("/proc/net/sockstat", "mem") - pages) * 4);
    study_say("  CPU ms of kernel workers in 1 s, before and in the stall", "%.1f %.1f", quiet_ms, pressure_workers_ms());
    study_say("  something stops the client", "%s", up.sent < FLOW_FILL_MAX ? "yes" : "no: it was stopped by the experiment");
    flow_drain(&up, tunnel.origin, up.sent);
    study_hold("  when the origin reads, all of it comes, in its order", up.taken == up.sent && !up.wrong);
    tunnel_close(&tunnel);
    sockmap_close(&map);
}

/* A buffer that the relay's owner set does not bound it either. */
static void pressure_small_buffer(const struct sockmap *map)
{
    const int small = 64 * KIB;
    struct flow up = {0};
    struct tunnel tunnel;
    tunnel_open(&tunnel);
    (void)setsockopt(tunnel.near, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    (void)setsockopt(tunnel.far, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    study_join(map, tunnel.near, tunnel.far);
    flow_fill(&up, tunnel.client);
    study_say("with SO_RCVBUF and SO_SNDBUF of 64 KiB the client could send", "%" PRIu64, up.sent);
    tunnel_close(&tunnel);
}

/* ---- what a relay could do ---- */

/* A tunnel whose bytes up are taken by the program, or by hand. */
struct governed {
    const struct sockmap *map;
    struct tunnel tunnel;
    uint8_t kept[64 * KIB]; /* read by hand, and not written yet */
    size_t at, len;
    bool by_hand;
    uint64_t copied, turns; /* by hand: bytes; how often it came to that */
};

static uint64_t governed_between(const struct governed *governed)
{
    return sockmap_count(governed->map, governed->tunnel.near).taken + governed->copied - tunnel_written(governed->tunnel.far);
}

static void governed_untap(struct governed *governed)
{
    governed->by_hand = sockmap_untap(governed->map, governed->tunnel.near) == 0;
    governed->turns++;
}

static void governed_tap(struct governed *governed)
{
    if (sockmap_tap(governed->map, governed->tunnel.near) != 0 || sockmap_kick(governed->tunnel.near) != 0)
        study_fail("cannot go back to the kernel");
    governed->by_hand = false;
}

/* Takes the tap away when too much is between the sockets, so that the window closes as of any socket that is not read, and gives it back when all
 * that is written. It must look often: no event tells. */
static void governed_look(struct governed *governed)
{
    uint64_t between = governed_between(governed);
    if (!governed->by_hand && between > BACKLOG_MAX)
        governed_untap(governed);
    else if (governed->by_hand && between == 0)
        governed_tap(governed);
}

/* By hand, until near is empty (true) or far is full. */
static bool governed_copy(struct governed *governed)
{
    for (;;) {
        if (governed->len == 0) {
            ssize_t got = recv(governed->tunnel.near, governed->kept, sizeof(governed->kept), 0);
            if (got <= 0)
                return true;
            governed->at = 0;
            governed->len = (size_t)got;
        }
        ssize_t sent = send(governed->tunnel.far, governed->kept + governed->at, governed->len, MSG_NOSIGNAL);
        if (sent < 0)
            return false;
        governed->at += (size_t)sent;
        governed->len -= (size_t)sent;
        governed->copied += (uint64_t)sent;
    }
}

static void governed_limit(const struct governed *governed, uint64_t limit)
{
    if (sockmap_limit(governed->map, governed->tunnel.near, limit) != 0)
        study_fail("cannot set a limit");
}

/* Lets the program take no more than a limit. What it passes is an event on near (IN): then copies, behind what was taken, until it has caught up. */
static void governed_answer(struct governed *governed)
{
    if (!governed->by_hand && flow_wait(governed->tunnel.near, POLLIN, 0))
        governed_untap(governed);
    if (!governed->by_hand || governed_between(governed) > 0 || !governed_copy(governed))
        return;
    governed_limit(governed, sockmap_count(governed->map, governed->tunnel.near).taken + BACKLOG_MAX);
    governed_tap(governed);
}

static void governed_start(struct governed *governed, const struct sockmap *map, uint64_t limit)
{
    *governed = (struct governed){.map = map};
    tunnel_open(&governed->tunnel);
    study_join(map, governed->tunnel.near, governed->tunnel.far);
    governed_limit(governed, limit);
}

/* The origin reads only what it has when the client could not send, nor the relay write, for a while. */
static void pressure_governed(const struct sockmap *map, void (*govern)(struct governed *governed), uint64_t limit, const char *title)
{
    static struct governed governed;
    struct flow up = {0};
    uint64_t most = 0, before = 0;
    governed_start(&governed, map, limit);
    for (int quiet = 0; quiet < LOOK_MS && up.taken < FLOW_FILL_MAX; quiet++) {
        uint64_t copied = governed.copied;
        govern(&governed);
        uint64_t between = governed_between(&governed), moved = governed.copied - copied;
        most = between > most ? between : most;
        moved += flow_send(&up, governed.tunnel.client, FLOW_FILL_MAX - up.sent < MIB ? FLOW_FILL_MAX - up.sent : MIB);
        if (moved == 0 && quiet >= STALL_MS) {
            before = before ? before : up.sent;
            moved = flow_take(&up, governed.tunnel.origin, UINT64_MAX);
        }
        quiet = moved > 0 ? 0 : quiet;
        usleep(moved > 0 ? 0 : 1000);
    }
    study_say(title, "%" PRIu64 " %" PRIu64, governed.turns, most);
    study_say("  the client could send while the origin read nothing", "%" PRIu64, before);
    study_hold("  the client is stopped, and then all of it comes, in its order",
               before < FLOW_FILL_MAX / 2 && up.taken == FLOW_FILL_MAX && !up.wrong);
    tunnel_close(&governed.tunnel);
}

void study_pressure(void)
{
    struct sockmap map;
    pressure_stall(SOCKMAP_VERDICT, "by a verdict program alone");
    pressure_stall(SOCKMAP_PARSER, "with a parser before it");
    study_open(&map, SOCKMAP_VERDICT);
    pressure_small_buffer(&map);
    pressure_governed(&map, governed_look, UINT64_MAX, "looking, tap taken away above 4 MiB: times; most between the sockets");
    pressure_governed(&map, governed_answer, BACKLOG_MAX, "a limit of 4 MiB, then by hand: times; most between the sockets");
    sockmap_close(&map);
}
