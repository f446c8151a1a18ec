/* Revocation: what an origin still hears after its tunnel was cut, by how it was cut. */
#include <inttypes.h>

#include "study.h"
#include "tunnel.h"

enum { ROUNDS = 100 };

static void revoke_leave(const struct sockmap *map, struct tunnel *tunnel)
{
    (void)sockmap_leave(map, tunnel->near);
    (void)sockmap_leave(map, tunnel->far);
}

static void revoke_untap(const struct sockmap *map, struct tunnel *tunnel)
{
    (void)sockmap_untap(map, tunnel->near);
    (void)sockmap_untap(map, tunnel->far);
}

static void revoke_near(const struct sockmap *map, struct tunnel *tunnel)
{
    (void)map;
    tunnel_shut(&tunnel->near, true);
}

static void revoke_gently(const struct sockmap *map, struct tunnel *tunnel)
{
    (void)map;
    tunnel_shut(&tunnel->far, false);
    tunnel_shut(&tunnel->near, false);
}

static void revoke_near_far(const struct sockmap *map, struct tunnel *tunnel)
{
    (void)map;
    tunnel_shut(&tunnel->near, true);
    tunnel_shut(&tunnel->far, true);
}

static void revoke_far_near(const struct sockmap *map, struct tunnel *tunnel)
{
    (void)map;
    tunnel_shut(&tunnel->far, true);
    tunnel_shut(&tunnel->near, true);
}

static const struct cut {
    const char *title;
    void (*cut)(const struct sockmap *map, struct tunnel *tunnel);
    bool is_sharp; /* not a byte more comes out */
} CUTS[] = {
    {"out of the map with the program", revoke_untap, false},       {"out of all maps", revoke_leave, false},
    {"near closed by RST, far left open", revoke_near, false},      {"far and near closed by FIN", revoke_gently, false},
    {"near closed by RST, then far by RST", revoke_near_far, true}, {"far closed by RST, then near by RST", revoke_far_near, true},
};

enum { CUT_COUNT = sizeof(CUTS) / sizeof(*CUTS) };

/* Bytes wait in all places: near, between the sockets, far, the origin's buffer. */
static void revoke_stalled(const struct sockmap *map, const struct cut *cut)
{
    struct flow up = {0};
    struct tunnel tunnel;
    tunnel_open(&tunnel);
    study_join(map, tunnel.near, tunnel.far);
    flow_fill(&up, tunnel.client);
    uint64_t written = tunnel_written(tunnel.far);
    cut->cut(map, &tunnel);
    uint64_t there = tunnel_received(tunnel.origin);
    flow_drain(&up, tunnel.origin, UINT64_MAX);
    study_say(cut->title, "%8" PRIu64 " to TCP, %8" PRIu64 " beyond it",
              written > there && up.taken > there ? (up.taken < written ? up.taken : written) - there : 0,
              up.taken > written ? up.taken - written : 0);
    if (cut->is_sharp)
        study_hold("  not a byte comes to the origin after the cut", up.taken == there && !up.wrong);
    tunnel_close(&tunnel);
}

/* In full flow: the origin's count must not move once the cut has returned. */
static void revoke_moving(const struct sockmap *map, const struct cut *cut)
{
    int late = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct flow up = {0};
        struct tunnel tunnel;
        tunnel_open(&tunnel);
        study_join(map, tunnel.near, tunnel.far);
        flow_run(&up, tunnel.client, tunnel.origin, 256 * KIB);
        flow_send(&up, tunnel.client, MIB);
        cut->cut(map, &tunnel);
        uint64_t there = tunnel_received(tunnel.origin);
        flow_drain(&up, tunnel.origin, UINT64_MAX);
        late += up.taken > there;
        tunnel_close(&tunnel);
    }
    study_say(cut->title, "%d of %d tunnels in full flow heard more", late, ROUNDS);
    study_hold("  none", late == 0);
}

void study_revoke(void)
{
    struct sockmap map;
    study_open(&map, SOCKMAP_VERDICT);
    study_say("a stalled tunnel with bytes in all places", "heard after the cut");
    for (int i = 0; i < CUT_COUNT; i++)
        revoke_stalled(&map, &CUTS[i]);
    for (int i = 0; i < CUT_COUNT; i++) {
        if (CUTS[i].is_sharp)
            revoke_moving(&map, &CUTS[i]);
    }
    sockmap_close(&map);
}
