/* The doors of the admin interface: one socket each, bound or passed once, for every server that comes. */
#include "host/doors.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "host/bind.h"

static bool doors_bind_metrics(struct doors *doors, const struct admin_settings *admin, struct activation *passed)
{
    char text[ENDPOINT_TEXT_MAX];
    doors->metrics = admin->metrics;
    if (!address_is_set(&admin->metrics.ip) || activation_take(passed, &admin->metrics, &doors->fds[DOOR_METRICS], 1) == 1 ||
        bind_listeners(&doors->metrics, false, &doors->fds[DOOR_METRICS], 1))
        return true;
    doors->fds[DOOR_METRICS] = -1;
    log_error("cannot listen on %s ([admin] metrics): %s", endpoint_text(&admin->metrics, text), strerror(errno));
    return false;
}

/* Whoever may write to it may ask for everything; the mode that a service manager gives a socket lets in all users. */
static bool doors_is_private(const char *path)
{
    struct stat found;
    if (stat(path, &found) == 0 && (found.st_mode & S_IWOTH) == 0)
        return true;
    log_error("unix:%s ([admin] listen) was passed by the service manager, and not for its user and group alone: SocketMode=0660", path);
    return false;
}

static bool doors_bind_admin(struct doors *doors, const struct admin_settings *admin, struct activation *passed)
{
    if (admin->socket == NULL)
        return true;
    doors->fds[DOOR_ADMIN] = activation_take_unix(passed, admin->socket);
    if (doors->fds[DOOR_ADMIN] >= 0)
        return doors_is_private(admin->socket);
    doors->fds[DOOR_ADMIN] = bind_unix(admin->socket, &doors->socket);
    if (doors->fds[DOOR_ADMIN] < 0)
        log_error("cannot listen on unix:%s ([admin] listen): %s", admin->socket, strerror(errno));
    return doors->fds[DOOR_ADMIN] >= 0;
}

bool doors_bind(struct doors *doors, const struct admin_settings *admin, struct activation *passed)
{
    return doors_bind_metrics(doors, admin, passed) && doors_bind_admin(doors, admin, passed);
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
