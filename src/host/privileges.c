/* Whom the service runs as, and which capabilities its configuration needs. */
#include "host/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "host/capability.h"
#include "host/user.h"

#define PORT_PRIVILEGED 1024 /* below it CAP_NET_BIND_SERVICE binds, unless the host says otherwise */

/* ---- what a configuration needs ---- */

static bool privileges_low_port(const struct config *config)
{
    for (size_t i = 0; i < config->listener_count; i++)
        for (size_t k = 0; k < config->listeners[i].address_count; k++) {
            const uint16_t port = config->listeners[i].addresses[k].port;
            if (port != 0 && port < PORT_PRIVILEGED)
                return true;
        }
    return false;
}

static bool privileges_tproxy(const struct config *config)
{
    for (size_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].mode == LISTENER_TPROXY)
            return true;
    return false;
}

bool privileges_mark(const struct config *config)
{
    for (size_t i = 0; i < policy_route_count(config->policy); i++)
        if (policy_route_at(config->policy, i)->mark != 0)
            return true;
    return false;
}

/* `option` is what the kernel is asked, with a harmless value, whether one capability is enough for. 0: there is only the first. */
static const struct privileges_need {
    bool (*is_needed)(const struct config *config);
    bool by_server;
    unsigned capabilities[2]; /* the weaker one first */
    int level, option, value;
} NEEDS[] = {
    {privileges_low_port, false, {CAP_NET_BIND_SERVICE, CAP_NET_BIND_SERVICE}, .option = 0},
    {privileges_tproxy, false, {CAP_NET_RAW, CAP_NET_ADMIN}, IPPROTO_IP, IP_TRANSPARENT, 1},
    {privileges_mark, true, {CAP_NET_RAW, CAP_NET_ADMIN}, SOL_SOCKET, SO_MARK, 0}, /* the weaker one is enough since Linux 5.17 */
};

static bool privileges_works(const struct privileges_need *need, uint64_t capability)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool works = fd >= 0 && capability_use(capability) && setsockopt(fd, need->level, need->option, &need->value, sizeof(need->value)) == 0;
    if (fd >= 0)
        close(fd);
    return works;
}

/* The weakest one that this process has and that is enough; 0: it has none, and whoever tries will say so. */
static uint64_t privileges_choose(const struct privileges_need *need, uint64_t permitted)
{
    for (size_t i = 0; i < sizeof(need->capabilities) / sizeof(need->capabilities[0]); i++) {
        const uint64_t capability = CAPABILITY_BIT(need->capabilities[i]);
        if ((permitted & capability) && (need->option == 0 || privileges_works(need, capability)))
            return capability;
    }
    return 0;
}

static struct privileges privileges_find(const struct config *config)
{
    const uint64_t permitted = capability_permitted();
    struct privileges found = {0};
    for (size_t i = 0; i < sizeof(NEEDS) / sizeof(NEEDS[0]); i++)
        if (NEEDS[i].is_needed(config))
            *(NEEDS[i].by_server ? &found.server : &found.supervisor) |= privileges_choose(&NEEDS[i], permitted);
    return found;
}

/* ---- giving up the rest ---- */

bool privileges_drop(const struct config *config, struct privileges *kept)
{
    *kept = (struct privileges){0};
    if (!user_settle(config->user))
        return false;
    *kept = privileges_find(config);
    if (capability_limit(kept->supervisor | kept->server, kept->supervisor))
        return true;
    log_error("capabilities cannot be given up: %s", strerror(errno));
    return false;
}

/* ---- what comes too late ---- */

void privileges_forbid_marks(const struct config *config, struct fault_list *faults)
{
    for (size_t i = 0; i < policy_route_count(config->policy); i++) {
        const struct route *route = policy_route_at(config->policy, i);
        char section[64];
        struct text title;
        text_init(&title, section, sizeof(section));
        text_format(&title, "route %s", route->name);
        if (route->mark != 0)
            fault_add(faults, route->at, section, "mark", "takes a restart: no route had one at the start, and what marks was given up");
    }
}
