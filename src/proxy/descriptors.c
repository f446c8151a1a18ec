/* How the descriptors of the server process are shared out: so many tunnels, and beside them so much of all that comes and goes. */
#include "proxy/descriptors.h"

enum {
    FOR_PROCESS = 32,    /* what the main thread has, was inherited, or is only passed on */
    FOR_WORKER = 16,     /* epoll, mailbox, journal, netlink, the spare one of accepting, and an accepted connection that is turned away */
    FOR_TUNNEL = 2,      /* the client's and the origin's */
    TRANSIENT_PART = 32, /* one in so many is for what comes and goes … */
    TRANSIENT_MIN = 4,   /* … but a pipe, a linger and a second try there are always */
};

static size_t descriptors_beyond(const struct descriptor_needs *needs)
{
    const size_t own = FOR_PROCESS + needs->workers * (FOR_WORKER + needs->listeners);
    return needs->limit > own ? needs->limit - own : 0;
}

static size_t descriptors_for_transients(size_t descriptors)
{
    const size_t part = descriptors / TRANSIENT_PART;
    return part > TRANSIENT_MIN ? part : TRANSIENT_MIN;
}

/* Half of what no tunnel has is for pipes, a quarter each for lingers and tries: none of the three can use up another's. */
struct descriptor_plan descriptor_plan_make(const struct descriptor_needs *needs)
{
    const size_t descriptors = descriptors_beyond(needs), kept = descriptors_for_transients(descriptors);
    const size_t most = descriptors > kept + FOR_TUNNEL ? (descriptors - kept) / FOR_TUNNEL : 1;
    const size_t tunnels = needs->tunnels_wanted != 0 && needs->tunnels_wanted < most ? needs->tunnels_wanted : most;
    const size_t left = descriptors > kept + tunnels * FOR_TUNNEL ? descriptors - tunnels * FOR_TUNNEL : kept;
    return (struct descriptor_plan){.tunnels_max = tunnels, .pipes_max = left / 4, .lingers_max = left / 4, .tries_max = left / 4};
}
