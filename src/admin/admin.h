/* The admin interface: metrics, health, tunnels, rules, reloads and upgrades over HTTP, on the server's main thread. */
#ifndef EXEAT_ADMIN_ADMIN_H
#define EXEAT_ADMIN_ADMIN_H

#include "proxy/server.h"

extern const struct server_guest ADMIN_GUEST;

#endif
