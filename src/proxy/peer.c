/* Whether the peer of a connected socket is still there, as TCP knows it. */
#include "proxy/peer.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define KEEPALIVE_INTERVAL_S 15
#define KEEPALIVE_PROBES 4
#define KEEPALIVE_IDLE_MAX_S 32767 /* what Linux takes */
#define DEAD_TRIES 2

void peer_keep_alive(int fd, uint64_t idle_ms)
{
    const int on = idle_ms != 0, interval = KEEPALIVE_INTERVAL_S, probes = KEEPALIVE_PROBES;
    const uint64_t seconds = idle_ms < 1000 ? 1 : idle_ms / 1000;
    const int idle = seconds > KEEPALIVE_IDLE_MAX_S ? KEEPALIVE_IDLE_MAX_S : (int)seconds;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

struct peer_sight peer_see(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    memset(&info, 0, sizeof(info));
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return (struct peer_sight){0};
    return (struct peer_sight){
        .pending = info.tcpi_unacked > 0 || info.tcpi_notsent_bytes > 0 || info.tcpi_probes > 0,
        .tries = (uint32_t)info.tcpi_retransmits + info.tcpi_probes,
        .ack_age_ms = info.tcpi_last_ack_recv,
    };
}

bool peer_doubts(struct peer_doubt *doubt, const struct peer_sight *sight, uint64_t now_ms, uint64_t limit_ms)
{
    if (!sight->pending) {
        doubt->since_ms = 0;
        return false;
    }
    if (doubt->since_ms == 0 || sight->ack_age_ms < now_ms - doubt->since_ms || sight->tries < doubt->tries) {
        doubt->since_ms = now_ms;
        doubt->tries = sight->tries;
        return false;
    }
    return now_ms - doubt->since_ms >= limit_ms && sight->tries - doubt->tries >= DEAD_TRIES;
}
