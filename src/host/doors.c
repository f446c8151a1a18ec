/* The doors of the admin interface: one socket each, bound once, for every server that comes. */
#include "host/doors.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "host/bind.h"

bool doors_bind(struct doors *doors, const struct admin_settings *admin)
{
    char text[ENDPOINT_TEXT_MAX];
    doors->metrics = admin->metrics;
    if (address_is_set(&admin->metrics.ip) && !bind_listeners(&doors->metrics, false, &doors->fds[DOOR_METRICS], 1)) {
        doors->fds[DOOR_METRICS] = -1;
        log_error("cannot listen on %s ([admin] metrics): %s", endpoint_text(&admin->metrics, text), strerror(errno));
        return false;
    }
    if (admin->socket != NULL && (doors->fds[DOOR_ADMIN] = bind_unix(admin->socket, &doors->socket)) < 0) {
        log_error("cannot listen on unix:%s ([admin] listen): %s", admin->socket, strerror(errno));
        return false;
    }
    return true;
}

bool doors_tell(const struct doors *doors, int channel)
{
    for (unsigned door = 0; door < DOOR_COUNT; door++)
        if (doors->fds[door] >= 0 && !channel_tell(channel, CHANNEL_ADMIN, door, 0, doors->fds[door]))
            return false;
    return true;
}

void doors_add_ports(const struct doors *doors, const struct admin_settings *admin, struct ports_file *ports)
{
    if (doors->fds[DOOR_ADMIN] >= 0)
        ports_file_add_unix(ports, "admin", admin->socket);
    if (doors->fds[DOOR_METRICS] >= 0)
        ports_file_add(ports, "metrics", &doors->metrics);
}

void doors_close(struct doors *doors, const struct admin_settings *admin)
{
    if (doors->fds[DOOR_ADMIN] >= 0)
        bind_unlink(admin->socket, doors->socket);
    for (int door = 0; door < DOOR_COUNT; door++)
        if (doors->fds[door] >= 0)
            close(doors->fds[door]);
}
