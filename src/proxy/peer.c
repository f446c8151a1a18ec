/* Whether the peer of a connected socket is still there, as TCP knows it. */
#include "proxy/peer.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define DEAD_TRIES 2

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
