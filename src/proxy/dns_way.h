/* Which DNS servers a route's names are asked of and how sockets to them leave: a copy that outlives the configuration it was made from. */
#ifndef EXEAT_PROXY_DNS_WAY_H
#define EXEAT_PROXY_DNS_WAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

struct dns_way {
    bool own;                 /* the route's own resolver: sockets are dressed as the route's; else they are left to the kernel */
    struct endpoint *servers; /* own: those whose family the route can speak */
    size_t server_count;      /* 0: resolv.conf says */
    struct route dress;       /* own: the route's name, sources, interface and mark, copied */
    uint64_t timeout_ms;      /* for a whole question */
};

/* False when the route has resolvers of its own and cannot speak the family of any: then its names are asked nowhere. */
bool dns_way_is_open(const struct route *route);

/* The way of an open route. False when out of memory; the way is then zeroed. */
bool dns_way_init(struct dns_way *way, const struct config *config, const struct route *route);
void dns_way_fini(struct dns_way *way);

/* Whether this configuration and route would make the same way. */
bool dns_way_is(const struct dns_way *way, const struct config *config, const struct route *route);

/* A non-blocking socket (type SOCK_DGRAM or SOCK_STREAM), dressed; bound to the first source this host has. -1 and an errno. */
int dns_way_socket(const struct dns_way *way, enum family family, int type);

#endif
