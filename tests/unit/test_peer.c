/* When a peer is given up: stories of looks at its TCP_INFO; and what keepalive takes. */
#include "proxy/peer.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"

enum { LIMIT_S = 90, LOOKS_MAX = 9 };

/* A story of looks 30 s apart (in seconds and counts), and at which of them (from 0) the peer is given up; -1: never. */
struct story {
    const char *name;
    struct {
        bool pending;
        uint32_t tries, ack_age_s;
    } look[LOOKS_MAX];
    int dead_at;
};

static const struct story stories[] = {
    {"all is acknowledged, nothing came for an hour", {{0, 0, 3600}, {0, 0, 3630}, {0, 0, 3660}, {0, 0, 3690}, {0, 0, 3720}, {0, 0, 3750}}, -1},
    {"cut off: retransmissions double", {{1, 6, 20}, {1, 7, 50}, {1, 8, 80}, {1, 9, 110}}, 3},
    {"cut off after a long silence: the silence before does not count", {{1, 0, 3600}, {1, 7, 3630}, {1, 8, 3660}, {1, 9, 3690}}, 3},
    {"lost for a minute, then acknowledged", {{1, 6, 20}, {1, 7, 50}, {1, 8, 80}, {0, 0, 5}, {0, 0, 35}, {0, 0, 65}}, -1},
    {"slow but alive: something new is pending at each look", {{1, 0, 0}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}}, -1},
    {"does not read, answers probes every two minutes",
     {{1, 0, 100}, {1, 0, 10}, {1, 0, 40}, {1, 0, 70}, {1, 0, 100}, {1, 0, 10}, {1, 0, 40}, {1, 0, 70}, {1, 0, 100}},
     -1},
    {"does not read, one probe of many lost", {{1, 0, 100}, {1, 1, 130}, {1, 1, 160}, {1, 1, 190}, {1, 1, 220}, {1, 0, 10}, {1, 0, 40}}, -1},
    {"did not read, then died: probes unanswered", {{1, 0, 100}, {1, 1, 130}, {1, 1, 160}, {1, 1, 190}, {1, 1, 220}, {1, 2, 250}}, 5},
    {"died at once when it stopped reading", {{1, 5, 25}, {1, 6, 55}, {1, 7, 85}, {1, 8, 115}}, 3},
    {"shrank its window: retransmissions are answered, not acknowledged",
     {{1, 6, 20}, {1, 7, 5}, {1, 7, 35}, {1, 8, 5}, {1, 8, 35}, {1, 8, 65}, {1, 8, 95}, {1, 9, 5}},
     -1},
    {"two sicknesses, healed between", {{1, 6, 20}, {1, 7, 50}, {0, 0, 1}, {1, 6, 25}, {1, 7, 55}, {1, 8, 85}, {1, 9, 115}}, 6},
};

Test(peer, stories_of_dead_and_living_peers)
{
    for (size_t i = 0; i < sizeof stories / sizeof *stories; i++) {
        struct peer_doubt doubt = {0};
        int dead_at = -1;
        for (int k = 0; k < LOOKS_MAX && dead_at < 0; k++) {
            const struct peer_sight sight = {stories[i].look[k].pending, stories[i].look[k].tries, stories[i].look[k].ack_age_s * 1000};
            if (peer_doubts(&doubt, &sight, 1000000 + (uint64_t)k * 30000, LIMIT_S * 1000))
                dead_at = k;
        }
        cr_expect_eq(dead_at, stories[i].dead_at, "%s: at %d, not %d", stories[i].name, dead_at, stories[i].dead_at);
    }
}

Test(peer, keepalive_is_tuned_within_what_the_kernel_takes)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    peer_keep_alive(fd, 1);
    cr_expect_eq(net_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 1);
    peer_keep_alive(fd, UINT64_MAX);
    cr_expect_eq(net_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 32767);
    peer_keep_alive(fd, 0);
    cr_expect_eq(net_option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    close(fd);
}
