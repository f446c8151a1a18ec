/* Counts: the program's, TCP's and those of the two ends, of a tunnel that ends well and of one whose receiver resets. */
#include <inttypes.h>

#include "study.h"
#include "tunnel.h"

static void counts_whole(const struct sockmap *map)
{
    struct flow up = {0}, down = {0};
    struct tunnel tunnel;
    tunnel_open(&tunnel);
    study_join(map, tunnel.near, tunnel.far);
    for (int i = 0; i < 16; i++) {
        flow_run(&up, tunnel.client, tunnel.origin, MIB + 1);
        flow_run(&down, tunnel.origin, tunnel.client, 3 * MIB + 7);
    }
    uint64_t up_count = sockmap_count(map, tunnel.near).taken, down_count = sockmap_count(map, tunnel.far).taken;
    study_say("up: sent by the client", "%" PRIu64, up.sent);
    study_say("up: program; TCP received at near; TCP written at far; taken", "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, up_count,
              tunnel_received(tunnel.near), tunnel_written(tunnel.far), up.taken);
    study_say("down: sent by the origin", "%" PRIu64, down.sent);
    study_say("down: program; TCP received at far; TCP written at near; taken", "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, down_count,
              tunnel_received(tunnel.far), tunnel_written(tunnel.near), down.taken);
    study_hold("every byte in its place, both ways", up.taken == up.sent && down.taken == down.sent && !up.wrong && !down.wrong);
    study_hold("program and TCP count alike", up_count == up.sent && tunnel_received(tunnel.near) == up.sent &&
                                                  tunnel_written(tunnel.far) == up.sent && down_count == down.sent &&
                                                  tunnel_received(tunnel.far) == down.sent && tunnel_written(tunnel.near) == down.sent);
    tunnel_close(&tunnel);
}

/* The origin takes a little, then resets with the rest unread. */
static void counts_reset(const struct sockmap *map)
{
    struct flow up = {0};
    struct tunnel tunnel;
    tunnel_open(&tunnel);
    study_join(map, tunnel.near, tunnel.far);
    flow_run(&up, tunnel.client, tunnel.origin, 100 * KIB);
    flow_fill(&up, tunnel.client);
    uint64_t arrived = tunnel_received(tunnel.origin), before = tunnel_written(tunnel.far);
    tunnel_shut(&tunnel.origin, true);
    (void)flow_wait(tunnel.far, 0, 1000);
    uint64_t after = tunnel_written(tunnel.far), near = tunnel_received(tunnel.near);
    flow_fill(&up, tunnel.client); /* what the client can still say to a tunnel whose far end is dead */
    struct sockmap_count count = sockmap_count(map, tunnel.near);
    study_say("reset: read by the origin; come to it", "%" PRIu64 " %" PRIu64, up.taken, arrived);
    study_say("reset: TCP written at far, before and after the reset", "%" PRIu64 " %" PRIu64, before, after);
    study_say("reset: TCP received at near when it came; sent by the client in all", "%" PRIu64 " %" PRIu64, near, up.sent);
    study_say("reset: acknowledged to the client; taken and dropped by the program", "%" PRIu64 " %" PRIu64 " %" PRIu64, tunnel_acked(tunnel.client),
              count.taken, count.dropped);
    study_hold("what was written to the origin can be told after its reset", after == before && after >= arrived);
    study_say("a dead far end: the client could still send, and was told it arrived", "%" PRIu64, tunnel_acked(tunnel.client) - after);
    tunnel_close(&tunnel);
}

void study_counts(void)
{
    struct sockmap map;
    study_open(&map, SOCKMAP_VERDICT);
    counts_whole(&map);
    counts_reset(&map);
    sockmap_close(&map);
}
