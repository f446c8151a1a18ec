/* Whether the peer of a connected socket is still there, as TCP knows it. */
#ifndef EXEAT_PROXY_PEER_H
#define EXEAT_PROXY_PEER_H

#include <stdbool.h>
#include <stdint.h>

/* What one look at a socket's TCP_INFO sees. */
struct peer_sight {
    bool pending;        /* something written is not acknowledged yet */
    uint32_t tries;      /* retransmissions and window probes so far; an acknowledgement may set it back, never forward */
    uint32_t ack_age_ms; /* since the peer last acknowledged anything, a probe too */
};

/* Since when looks have seen a peer acknowledge nothing. */
struct peer_doubt {
    uint64_t since_ms; /* 0: no doubt */
    uint32_t tries;    /* had been made by then */
};

/* Keepalive (first probe after idle_ms of silence, then every 15 s, 4 times), so that the kernel finds out when nothing is sent. Best effort. */
void peer_keep_alive(int fd, uint64_t idle_ms);

/* Of what is not TCP nothing is ever pending. */
struct peer_sight peer_see(int fd);

/* True when the peer is dead: for limit_ms it answered nothing while something was pending, and at least two tries were made in that time. A peer
 * that merely stops reading answers each probe, and probes may be two minutes apart: neither time nor an unanswered probe is enough alone. Pure. */
bool peer_doubts(struct peer_doubt *doubt, const struct peer_sight *sight, uint64_t now_ms, uint64_t limit_ms);

#endif
