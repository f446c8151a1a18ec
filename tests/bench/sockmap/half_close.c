/* Half-close: the end of one way while bytes are still in the kernel between the two sockets, and the other way after it. */
#include <inttypes.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "study.h"
#include "tunnel.h"

enum { ROUNDS = 200, LARGE = 8 * MIB, LOOK_US = 1000, LOOKS_MAX = 2000 };

/* The client says all it has and ends; the origin does not read yet. True: the relay was told. */
static bool half_close_say(const struct sockmap *map, struct tunnel *tunnel, struct flow *up, uint64_t bytes)
{
    tunnel_open(tunnel);
    study_join(map, tunnel->near, tunnel->far);
    while (up->sent < bytes && flow_wait(tunnel->client, POLLOUT, 1000))
        flow_send(up, tunnel->client, bytes - up->sent);
    (void)shutdown(tunnel->client, SHUT_WR);
    return flow_wait(tunnel->near, POLLRDHUP, 1000);
}

/* Waits until TCP has been given all that was received; the FIN was counted as a byte. Returns how often it looked, since no event tells. */
static int half_close_settle(const struct tunnel *tunnel)
{
    int looks = 1;
    while (tunnel_written(tunnel->far) < tunnel_received(tunnel->near) - 1 && looks < LOOKS_MAX) {
        usleep(LOOK_US);
        looks++;
    }
    return looks;
}

static void half_close_untouched(const struct sockmap *map)
{
    struct flow up = {0};
    struct tunnel tunnel;
    bool told = half_close_say(map, &tunnel, &up, LARGE);
    flow_drain(&up, tunnel.origin, UINT64_MAX);
    study_hold("the relay's epoll is told of the client's FIN (RDHUP)", told);
    study_hold("all bytes come", up.taken == up.sent && !up.wrong);
    study_say("the kernel passes the end on by itself", "%s", up.ended ? "yes" : "no");
    tunnel_close(&tunnel);
}

/* shutdown(SHUT_WR) as soon as the FIN is seen, as a relay does that has written all it has read. */
static void half_close_hasty(const struct sockmap *map)
{
    struct flow up = {0}, down = {0};
    struct tunnel tunnel;
    (void)half_close_say(map, &tunnel, &up, LARGE);
    (void)shutdown(tunnel.far, SHUT_WR);
    flow_drain(&up, tunnel.origin, UINT64_MAX);
    study_say("shutdown(far) at once, a slow origin: bytes sent; come; end seen", "%" PRIu64 " %" PRIu64 " %s", up.sent, up.taken,
              up.ended ? "yes" : "no");
    flow_run(&down, tunnel.origin, tunnel.client, MIB);
    int error = 0;
    socklen_t len = sizeof(error);
    (void)getsockopt(tunnel.far, SOL_SOCKET, SO_ERROR, &error, &len);
    study_say("  and of 1 MiB the other way; error on far", "%" PRIu64 " %d", down.taken, error);
    tunnel_close(&tunnel);
}

/* The same with little data and an origin that could read: how often is it a matter of luck? */
static void half_close_race(const struct sockmap *map)
{
    int lost = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct flow up = {0};
        struct tunnel tunnel;
        (void)half_close_say(map, &tunnel, &up, 64 * KIB);
        (void)shutdown(tunnel.far, SHUT_WR);
        flow_drain(&up, tunnel.origin, UINT64_MAX);
        lost += up.taken < up.sent;
        tunnel_close(&tunnel);
    }
    study_say("shutdown(far) at once, 64 KiB: tunnels that lost bytes", "%d of %d", lost, ROUNDS);
}

static void half_close_patient(const struct sockmap *map)
{
    int looks = 0, whole = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct flow up = {0}, down = {0};
        struct tunnel tunnel;
        (void)half_close_say(map, &tunnel, &up, 64 * KIB);
        looks += half_close_settle(&tunnel);
        (void)shutdown(tunnel.far, SHUT_WR);
        flow_drain(&up, tunnel.origin, UINT64_MAX);
        flow_run(&down, tunnel.origin, tunnel.client, 64 * KIB);
        whole += up.taken == up.sent && !up.wrong && up.ended && down.taken == down.sent && !down.wrong;
        tunnel_close(&tunnel);
    }
    study_say("shutdown(far) once written at far is received at near: looks, mean", "%.1f", (double)looks / ROUNDS);
    study_hold("  then all bytes come, then the end, and the other way still works", whole == ROUNDS);
}

void study_half_close(void)
{
    struct sockmap map;
    study_open(&map, SOCKMAP_VERDICT);
    half_close_untouched(&map);
    half_close_hasty(&map);
    half_close_race(&map);
    half_close_patient(&map);
    sockmap_close(&map);
}
