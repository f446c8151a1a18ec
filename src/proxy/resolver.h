/* Names to addresses for one worker: hosts file, cache, and a question to DNS for each family that the route can speak. */
#ifndef EXEAT_PROXY_RESOLVER_H
#define EXEAT_PROXY_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "proxy/loop.h"

#define RESOLVED_MAX 32

enum resolve_status {
    RESOLVE_FAILED = 0, /* NXDOMAIN, no data, SERVFAIL, refused, malformed …: dns_failed */
    RESOLVE_OK,
    RESOLVE_TIMEOUT,  /* dns_timeout */
    RESOLVE_NO_WAY,   /* the route's resolver cannot be asked by the route's sources: route_unavailable */
    RESOLVE_OVERLOAD, /* out of memory or descriptors */
    RESOLVE_QUOTA,    /* too many of the client's questions are in flight */
};

struct resolved {
    enum resolve_status status;
    const char *detail; /* static: "NXDOMAIN", "SERVFAIL" …; NULL when OK */
    size_t count;
    struct address addresses[RESOLVED_MAX]; /* as answered, both families mixed, duplicates removed; not yet judged */
    uint32_t took_ms;                       /* 0 from the cache or hosts file */
    bool cached;                            /* For tests. */
};

struct resolver;
struct resolve; /* a question under way: the token that cancels it */

/* One a worker. Keeps a reference to nothing: the configuration is given with each question. */
struct resolver *resolver_new(struct loop *loop);
/* Everything in flight must have been cancelled. */
void resolver_free(struct resolver *resolver);

/* Who asks, and what for. Whether an address may be dialled at all: only such a one ends the wait for the other family early. */
struct resolve_taste {
    bool (*accepts)(void *arg, const struct address *address); /* NULL: every address is fine */
    void *arg;
    const struct address
        *client; /* what it may have of cache and questions in flight is a share; read before resolve_start returns. NULL: nobody's */
};

/* Asks for the addresses of `name` (normal form) over `route`: hosts file first, then its own resolver (with the route's source, interface and
 * mark, or not at all) or those of [dns]. A pinned route's families without a source are not asked; where only such a family is left it is
 * RESOLVE_NO_WAY. The answer comes through `done`, never before this returns; NULL only when out of memory. The whole question is bounded by
 * dns.timeout. `done` is not called after resolve_cancel. config and route must live until done or cancel. */
struct resolve *resolve_start(struct resolver *resolver, const struct config *config, const struct route *route, const char *name,
                              const struct resolve_taste *taste, void (*done)(void *arg, const struct resolved *resolved), void *arg);
void resolve_cancel(struct resolve *resolve);

/* Answers in the cache, one for each family of a name, and how much memory they may take. For tests. */
#define RESOLVER_CACHE_MAX 32768
#define RESOLVER_CACHE_BYTES (8u << 20)
size_t resolver_cached(const struct resolver *resolver);

#endif
