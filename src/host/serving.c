/* What serves: the configuration by which every server goes that is started, and where it listens. */
#include "host/serving.h"

#include <fcntl.h>
#include <unistd.h>

#include "host/channel.h"

void serving_take(struct serving *serving, struct candidate *candidate, struct bounds *bounds, uint32_t edition)
{
    bounds_commit(&serving->bounds, bounds);
    if (serving->origin < 0)
        serving->origin = fcntl(serving->candidate->fd, F_DUPFD_CLOEXEC, 0);
    candidate_free(serving->candidate);
    serving->candidate = candidate;
    serving->edition = edition;
}

void serving_fini(struct serving *serving)
{
    bounds_fini(&serving->bounds);
    candidate_free(serving->candidate);
    if (serving->origin >= 0)
        close(serving->origin);
}

static bool serving_tell_sockets(const struct bound *bound, unsigned workers, int channel)
{
    for (unsigned worker = 0; worker < workers; worker++)
        if (!channel_tell(channel, CHANNEL_LISTENER, bound->number, worker, bound->fds[worker]))
            return false;
    return true;
}

bool serving_tell_addresses(const struct bounds *bounds, int channel, bool fresh)
{
    for (size_t i = 0; i < bounds->count; i++) {
        const struct bound *bound = &bounds->all[i];
        if (!channel_tell(channel, CHANNEL_ADDRESS, bound->number, bound->listener | (bound->inherited ? CHANNEL_ADDRESS_INHERITED : 0), -1))
            return false;
        if ((bound->fresh || !fresh) && !serving_tell_sockets(bound, bounds->workers, channel))
            return false;
    }
    return true;
}
