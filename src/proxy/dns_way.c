/* Which DNS servers a route's names are asked of and how sockets to them leave: a copy that outlives the configuration it was made from. */
#include "proxy/dns_way.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/route_source.h"

static bool dns_way_usable(const struct route *route, const struct endpoint *server)
{
    return route_has_family(route, server->ip.family);
}

bool dns_way_is_open(const struct route *route)
{
    for (size_t i = 0; i < route->resolver_count; i++)
        if (dns_way_usable(route, &route->resolvers[i]))
            return true;
    return route->resolver_count == 0;
}

/* The next server at or after *at that a question by this route may go to, or NULL. */
static const struct endpoint *dns_way_next_server(const struct config *config, const struct route *route, size_t *at)
{
    if (route->resolver_count == 0)
        return *at < config->dns.server_count ? &config->dns.servers[(*at)++] : NULL;
    while (*at < route->resolver_count) {
        const struct endpoint *server = &route->resolvers[(*at)++];
        if (dns_way_usable(route, server))
            return server;
    }
    return NULL;
}

static bool dns_way_copy_servers(struct dns_way *way, const struct config *config, const struct route *route)
{
    size_t at = 0, most = route->resolver_count ? route->resolver_count : config->dns.server_count;
    if (most == 0)
        return true;
    way->servers = calloc(most, sizeof(*way->servers));
    if (!way->servers)
        return false;
    for (const struct endpoint *server; (server = dns_way_next_server(config, route, &at)) != NULL;)
        way->servers[way->server_count++] = *server;
    return true;
}

static bool dns_way_copy_text(char **out, const char *text)
{
    *out = text ? strdup(text) : NULL;
    return *out || !text;
}

/* Round-robin with the turn held at 0 means: in the order of the configuration. */
static bool dns_way_copy_dress(struct route *dress, const struct route *route)
{
    dress->pick = PICK_ROUND_ROBIN;
    dress->mark = route->mark;
    if (!dns_way_copy_text(&dress->name, route->name) || !dns_way_copy_text(&dress->interface, route->interface))
        return false;
    if (route->source_count == 0)
        return true;
    dress->sources = calloc(route->source_count, sizeof(*dress->sources));
    if (!dress->sources)
        return false;
    memcpy(dress->sources, route->sources, route->source_count * sizeof(*dress->sources));
    dress->source_count = route->source_count;
    return true;
}

bool dns_way_init(struct dns_way *way, const struct config *config, const struct route *route)
{
    memset(way, 0, sizeof(*way));
    way->own = route->resolver_count > 0;
    way->timeout_ms = config->dns.timeout_ms;
    if (dns_way_copy_servers(way, config, route) && (!way->own || dns_way_copy_dress(&way->dress, route)))
        return true;
    dns_way_fini(way);
    return false;
}

static bool dns_way_same_servers(const struct dns_way *way, const struct config *config, const struct route *route)
{
    size_t at = 0;
    for (size_t i = 0; i < way->server_count; i++) {
        const struct endpoint *server = dns_way_next_server(config, route, &at);
        if (!server || !endpoint_equal(server, &way->servers[i]))
            return false;
    }
    return dns_way_next_server(config, route, &at) == NULL;
}

static bool dns_way_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool dns_way_same_dress(const struct route *dress, const struct route *route)
{
    if (dress->mark != route->mark || dress->source_count != route->source_count || !dns_way_same_text(dress->interface, route->interface))
        return false;
    for (size_t i = 0; i < route->source_count; i++)
        if (!address_equal(&dress->sources[i].local, &route->sources[i].local))
            return false;
    return true;
}

bool dns_way_is(const struct dns_way *way, const struct config *config, const struct route *route)
{
    if (way->own != (route->resolver_count > 0) || way->timeout_ms != config->dns.timeout_ms)
        return false;
    return dns_way_same_servers(way, config, route) && (!way->own || dns_way_same_dress(&way->dress, route));
}

/* A socket of its own for each source that is tried: without privileges an interface can be set on a socket only once. */
static int dns_way_dressed(const struct dns_way *way, enum family family, int type, const struct source *source)
{
    int fd = socket(family == FAMILY_V6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || !way->own)
        return fd;
    int error = route_dress(&way->dress, fd, family, source);
    if (error == 0)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

int dns_way_socket(const struct dns_way *way, enum family family, int type)
{
    static const struct address nobody; /* sources are not picked by client here */
    if (way->dress.source_count == 0)
        return dns_way_dressed(way, family, type, NULL);
    for (size_t tries = 0; tries < way->dress.source_count; tries++) {
        const struct source *source = route_source_at(&way->dress, family, &nobody, 0, 0);
        if (!source)
            break;
        int fd = dns_way_dressed(way, family, type, source);
        if (fd >= 0 || errno != EADDRNOTAVAIL)
            return fd;
        route_source_lacks(&way->dress, source);
    }
    errno = EADDRNOTAVAIL;
    return -1;
}

void dns_way_fini(struct dns_way *way)
{
    free(way->servers);
    free(way->dress.name);
    free(way->dress.interface);
    free(way->dress.sources);
    memset(way, 0, sizeof(*way));
}
