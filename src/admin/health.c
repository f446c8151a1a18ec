/* Whether exeat is alive, and whether it is ready, in words. */
#include "admin/health.h"

#include <stddef.h>

bool health_is_alive(const struct survey *whole, const char **words)
{
    *words = whole != NULL ? "alive" : "a worker does not answer";
    return whole != NULL;
}

bool health_is_ready(const struct survey *whole, enum server_stage stage, const char **words)
{
    *words = "ready";
    if (stage == SERVER_LEAVING)
        *words = "leaving: connections are served for a moment still";
    else if (stage == SERVER_DRAINING)
        *words = "draining: no tunnel is opened any more, those that are open go on";
    else if (stage == SERVER_STOPPING)
        *words = "stopping: no connection is accepted any more";
    else if (whole == NULL)
        *words = "a worker does not answer";
    else if (whole->listening < whole->workers)
        *words = "starting: not every worker accepts connections yet";
    else if (whole->journal_ready < whole->workers)
        *words = "the audit journal cannot be written: new tunnels are refused";
    else
        return true;
    return false;
}
