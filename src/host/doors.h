/* The doors of the admin interface: one socket each, bound or passed once, for every server that comes. */
#ifndef EXEAT_HOST_DOORS_H
#define EXEAT_HOST_DOORS_H

#include <stdbool.h>
#include <sys/types.h>

#include "config/config.h"
#include "host/activation.h"
#include "host/channel.h"
#include "host/ports_file.h"

struct doors {
    int fds[DOOR_COUNT];     /* -1: none */
    struct endpoint metrics; /* as bound */
    ino_t socket;            /* of the file that leads to DOOR_ADMIN; 0: it is not ours to remove */
};

/* What the service manager has passed is taken in place of binding. False: the log says why. What was bound until then is for doors_close().
 * `admin` is the same for all calls: a reload changes none of it. */
bool doors_bind(struct doors *doors, const struct admin_settings *admin, struct activation *passed);

/* Removes the socket's file, too. */
void doors_close(struct doors *doors, const struct admin_settings *admin);

/* Hands each to a server that is being set up. False with errno. */
bool doors_tell(const struct doors *doors, int channel);

void doors_add_ports(const struct doors *doors, const struct admin_settings *admin, struct ports_file *ports);

#endif
