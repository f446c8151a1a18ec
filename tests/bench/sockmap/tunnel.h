/* What is experimented on: a tunnel of four sockets, all in this process, and a flow of bytes that are known by their place in it. */
#ifndef STUDY_TUNNEL_H
#define STUDY_TUNNEL_H

#include <stdbool.h>
#include <stdint.h>

/* client <-TCP-> near  (the relay between)  far <-TCP-> origin. All without blocking. */
struct tunnel {
    int client, near, far, origin;
};

void tunnel_open(struct tunnel *tunnel);
void tunnel_close(struct tunnel *tunnel);

/* Closes a socket; `reset`: by RST. */
void tunnel_shut(int *fd, bool reset);

/* One way: what went in at one end and what came out at the other. */
struct flow {
    uint64_t sent, taken, wrong; /* bytes; wrong: those that were not what belongs there */
    bool ended;                  /* by FIN */
    int error;                   /* errno of the read that ended it */
};

/* Sends what fits now, at most so much; returns how much it was. */
uint64_t flow_send(struct flow *flow, int fd, uint64_t most);

/* Takes what has come, at most so much; returns how much it was. */
uint64_t flow_take(struct flow *flow, int fd, uint64_t most);

/* Sends until nothing more fits for a while, or until there is no doubt that nothing stops it: it would take all of the machine's memory. */
#define FLOW_FILL_MAX (128u << 20)
void flow_fill(struct flow *flow, int fd);

/* Takes until `total` bytes have come, or the end, or nothing for a while. */
void flow_drain(struct flow *flow, int fd, uint64_t total);

/* Both at once, until so many bytes more came out, or none for a while. */
void flow_run(struct flow *flow, int from, int to, uint64_t bytes);

/* True when there was one of these events within the time. */
bool flow_wait(int fd, short events, int patience_ms);

/* TCP's own counts of payload: what has come from the network (a FIN counts as one), and what was written, whether sent or not yet. */
uint64_t tunnel_received(int fd);
uint64_t tunnel_written(int fd);
uint64_t tunnel_acked(int fd);

#endif
