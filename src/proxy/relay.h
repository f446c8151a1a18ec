/* Bytes both ways between two connected sockets, untouched: half-close, back-pressure, counts, and the watch for dead peers. */
#ifndef EXEAT_PROXY_RELAY_H
#define EXEAT_PROXY_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/loop.h"
#include "proxy/peer.h"
#include "proxy/wait_line.h"

enum relay_end {
    RELAY_CLIENT_EOF = 0, /* both ways ended in order, the client first */
    RELAY_ORIGIN_EOF,
    RELAY_CLIENT_RESET,
    RELAY_ORIGIN_RESET,
    RELAY_IDLE,
    RELAY_UNREACHABLE, /* data unacknowledged for 90 s, window probes unanswered, keepalive failed */
};

const char *relay_end_text(enum relay_end end); /* "client_eof" … */

struct event;
struct meter;
struct pipe;

#define RELAY_LOOK_MS 30000 /* between looks at the peers; a test shortens it */

/* Makes loop->looks, in which the loop's relays wait for a look at their peers. NULL when out of memory. */
struct wait_line *relay_looks_new(struct loop *loop, uint64_t look_ms);

struct relay_settings {
    uint64_t idle_ms;      /* 0: never idle */
    uint64_t keepalive_ms; /* peer_keep_alive(), on both legs */
    void (*done)(void *arg, enum relay_end end);
    void *arg;
    struct meter *meter; /* is told what passes; NULL: nobody is. May be changed at any time */
};

/* The bytes on their way out to a side that its socket would not take. */
struct relay_backlog {
    struct event *writable;
    size_t len, at;    /* what is before `at` is out */
    struct pipe *pipe; /* holds the rest; NULL: it is here */
    uint8_t bytes[];
};

/* Embedded in its session. An idle one holds no buffer and no pipe: small messages go through the loop's scratch buffer, and a way that carries much
 * borrows a pipe for each portion. What its socket would not take is kept, in memory or in that pipe, until it is written, and that way's reading
 * stops meanwhile. */
struct relay {
    struct waiter look; /* first; in no line when all is acknowledged and both ways are open */
    struct loop *loop;
    struct relay_side {
        struct event *readable;
        struct relay_backlog *backlog; /* NULL: nothing is kept */
        uint64_t passed;               /* bytes written to this side */
        struct peer_doubt doubt;
        int fd;
        uint8_t bulk;    /* one more for each large portion on its way to this side, one less for each small one */
        bool read_ended; /* it sent FIN, which has been passed on: nothing was kept when it was read */
    } side[2];           /* 0 the client, 1 the origin */
    struct event *idle;  /* NULL: it is never idle */
    uint64_t last_ms;
    bool origin_first; /* the origin ended first */
    bool kept_alive;   /* keepalive is set: at the first look, so that short tunnels are spared */
    struct relay_settings settings;
};

/* Starts relaying; `first` (may be 0 long) is what the client already sent and goes to the origin before all else, copied if need be. Both sockets
 * are non-blocking and stay the caller's. `done` runs once, from the loop; the relay is then stopped and only to be closed: with SO_LINGER 0 on both
 * sockets when it ended by a reset or unreachable, so that the other peer hears it too. False: out of memory, nothing started. */
bool relay_start(struct relay *relay, struct loop *loop, int client_fd, int origin_fd, const uint8_t *first, size_t first_len,
                 const struct relay_settings *settings);

/* Takes the events away and frees what was kept; not the sockets. Safe on a zeroed or stopped relay. */
void relay_stop(struct relay *relay);

uint64_t relay_bytes_up(const struct relay *relay);   /* written to the origin */
uint64_t relay_bytes_down(const struct relay *relay); /* written to the client */

#endif
