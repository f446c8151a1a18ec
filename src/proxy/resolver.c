/* Names to addresses for one worker: hosts file, cache, and a question to DNS for each family that the route can speak. */
#include "proxy/resolver.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "base/hash.h"
#include "proxy/dns_cache.h"
#include "proxy/dns_channel.h"
#include "proxy/dns_lookup.h"
#include "proxy/dns_question.h"
#include "proxy/dns_way.h"

enum {
    RESOLUTION_DELAY_MS = 50, /* RFC 8305 3: how long the second family may lag behind the first */
    CHANNELS_MAX = 256,       /* more are had only while all have questions in flight */
};

struct resolver_channel {
    struct resolver_channel *next;
    struct dns_channel *dns;
    uint64_t number;
};

struct resolver {
    struct loop *loop;
    struct dns_cache *cache;
    struct dns_lookups *lookups;
    struct event *sweep;               /* while the cache holds anything */
    struct resolver_channel *channels; /* the last used first */
    unsigned channel_count;
    uint64_t last_number, seed;
};

/* One family's share of the answer. */
struct resolve_part {
    struct dns_wait wait; /* first: it is what comes back */
    struct resolve *resolve;
    bool pending;
    struct dns_answer answer;
};

enum { PART_V6, PART_V4, PARTS };

struct resolve {
    struct grave grave;
    struct resolver *resolver;
    struct event event; /* the deadline, or what is ready already */
    struct resolve_part parts[PARTS];
    uint64_t started_ms, timeout_ms;
    struct resolve_taste taste;
    uint8_t share;
    bool asked_dns, from_cache;
    bool left_out; /* a family was not asked, for want of a source */
    bool over;
    void (*done)(void *arg, const struct resolved *resolved);
    void *arg;
};

static const struct timeval SWEEP_EVERY = {.tv_sec = 1};

/* What a question in flight will bring is waited for too. */
static void resolver_sweep(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct resolver *resolver = arg;
    if (dns_cache_sweep(resolver->cache, loop_now_ms(resolver->loop)) || dns_lookups_count(resolver->lookups) > 0)
        event_add(resolver->sweep, &SWEEP_EVERY);
}

static void resolver_keep_sweeping(struct resolver *resolver)
{
    if (!evtimer_pending(resolver->sweep, NULL))
        event_add(resolver->sweep, &SWEEP_EVERY);
}

/* Of IPv6 the network counts, in which one host has as many addresses as it likes. */
static uint8_t resolver_share(const struct resolver *resolver, const struct address *client)
{
    return client ? (uint8_t)(hash_bytes(client->bytes, client->family == FAMILY_V6 ? 8 : 4, resolver->seed) % DNS_SHARES) : 0;
}

struct resolver *resolver_new(struct loop *loop)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));
    if (!resolver)
        return NULL;
    resolver->loop = loop;
    resolver->seed = hash_seed();
    resolver->cache = dns_cache_new(RESOLVER_CACHE_MAX, RESOLVER_CACHE_BYTES);
    resolver->lookups = resolver->cache ? dns_lookups_new(resolver->cache) : NULL;
    resolver->sweep = loop_event(loop, -1, 0, resolver_sweep, resolver);
    if (resolver->lookups && resolver->sweep)
        return resolver;
    resolver_free(resolver);
    return NULL;
}

size_t resolver_cached(const struct resolver *resolver)
{
    return dns_cache_count(resolver->cache);
}

/* ---- channels: one for each way that names are asked; when there are too many, the idle one used longest ago goes ---- */

static void resolver_drop_idle(struct resolver *resolver)
{
    struct resolver_channel **last_idle = NULL;
    for (struct resolver_channel **link = &resolver->channels; *link; link = &(*link)->next)
        if (dns_channel_is_idle((*link)->dns))
            last_idle = link;
    if (!last_idle)
        return;
    struct resolver_channel *channel = *last_idle;
    *last_idle = channel->next;
    resolver->channel_count--;
    dns_channel_free(channel->dns);
    free(channel);
}

static struct resolver_channel *resolver_channel_new(struct resolver *resolver, const struct config *config, const struct route *route)
{
    struct resolver_channel *channel = calloc(1, sizeof(*channel));
    if (!channel)
        return NULL;
    channel->dns = dns_channel_new(resolver->loop, config, route);
    if (!channel->dns) {
        free(channel);
        return NULL;
    }
    channel->number = ++resolver->last_number;
    return channel;
}

static struct resolver_channel *resolver_channel(struct resolver *resolver, const struct config *config, const struct route *route)
{
    struct resolver_channel **link = &resolver->channels;
    while (*link && !dns_channel_serves((*link)->dns, config, route))
        link = &(*link)->next;
    struct resolver_channel *channel = *link;
    if (channel) {
        *link = channel->next;
    } else {
        if (resolver->channel_count >= CHANNELS_MAX)
            resolver_drop_idle(resolver);
        channel = resolver_channel_new(resolver, config, route);
        if (!channel)
            return NULL;
        resolver->channel_count++;
    }
    channel->next = resolver->channels;
    resolver->channels = channel;
    return channel;
}

/* ---- the end of a question ---- */

static bool resolved_has(const struct resolved *resolved, const struct address *address)
{
    for (size_t i = 0; i < resolved->count; i++)
        if (address_equal(&resolved->addresses[i], address))
            return true;
    return false;
}

static void resolved_add(struct resolved *resolved, const struct address *address)
{
    if (resolved->count < RESOLVED_MAX && !resolved_has(resolved, address))
        resolved->addresses[resolved->count++] = *address;
}

/* By turns, so that a family with many addresses leaves room for the other. */
static void resolve_gather(const struct resolve *resolve, struct resolved *resolved)
{
    for (size_t i = 0; i < RESOLVED_MAX; i++)
        for (int part = 0; part < PARTS; part++)
            if (i < resolve->parts[part].answer.count)
                resolved_add(resolved, &resolve->parts[part].answer.addresses[i]);
}

/* Of two families that failed, the reason which leaves more open: a name that has no IPv6 address may still have had the IPv4 one that timed out. */
static int resolve_weight(const struct dns_answer *answer)
{
    if (!answer->detail)
        return 0; /* not asked */
    switch (answer->status) {
    case RESOLVE_NO_WAY:
        return 5;
    case RESOLVE_OVERLOAD:
    case RESOLVE_QUOTA:
        return 4;
    case RESOLVE_TIMEOUT:
        return 3;
    default:
        return answer->negative ? 1 : 2;
    }
}

static void resolve_conclude(const struct resolve *resolve, struct resolved *resolved)
{
    const struct dns_answer *v6 = &resolve->parts[PART_V6].answer, *v4 = &resolve->parts[PART_V4].answer;
    const struct dns_answer *worst = resolve_weight(v6) > resolve_weight(v4) ? v6 : v4;
    *resolved = (struct resolved){.status = worst->status, .detail = worst->detail};
    resolve_gather(resolve, resolved);
    if (resolved->count) {
        resolved->status = RESOLVE_OK;
        resolved->detail = NULL;
    } else if (resolve->left_out && worst->no_data) {
        resolved->status = RESOLVE_NO_WAY; /* it is there, but what it has may not be asked for */
        resolved->detail = "the route has no source of the name's family";
    } else if (resolved->status == RESOLVE_OK) {
        resolved->status = RESOLVE_FAILED;
    }
    resolved->cached = resolve->from_cache && !resolve->asked_dns;
    resolved->took_ms = resolve->asked_dns ? (uint32_t)(loop_now_ms(resolve->resolver->loop) - resolve->started_ms) : 0;
}

static void resolve_close(struct resolve *resolve)
{
    resolve->over = true;
    for (int part = 0; part < PARTS; part++)
        dns_wait_cancel(&resolve->parts[part].wait);
    event_del(&resolve->event);
    loop_bury(resolve->resolver->loop, &resolve->grave);
}

static void resolve_finish(struct resolve *resolve)
{
    struct resolved resolved;
    resolve_conclude(resolve, &resolved);
    resolve_close(resolve);
    resolve->done(resolve->arg, &resolved);
}

static bool resolve_is_pending(const struct resolve *resolve)
{
    return resolve->parts[PART_V6].pending || resolve->parts[PART_V4].pending;
}

static bool resolve_has_address(const struct resolve *resolve)
{
    return resolve->parts[PART_V6].answer.count || resolve->parts[PART_V4].answer.count;
}

static bool resolve_has_acceptable(const struct resolve *resolve)
{
    for (int part = 0; part < PARTS; part++)
        for (size_t i = 0; i < resolve->parts[part].answer.count; i++)
            if (!resolve->taste.accepts || resolve->taste.accepts(resolve->taste.arg, &resolve->parts[part].answer.addresses[i]))
                return true;
    return false;
}

/* Ready from the start, or out of time: for the whole question, or for the second family once the first has answered. */
static void resolve_rings(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct resolve *resolve = arg;
    for (int part = 0; part < PARTS; part++)
        if (resolve->parts[part].pending)
            dns_answer_fail(&resolve->parts[part].answer, RESOLVE_TIMEOUT, "the resolver did not answer in time");
    resolve_finish(resolve);
}

static void resolve_wind(struct resolve *resolve)
{
    uint64_t spent_ms = loop_now_ms(resolve->resolver->loop) - resolve->started_ms;
    uint64_t left_ms = spent_ms < resolve->timeout_ms ? resolve->timeout_ms - spent_ms : 0;
    if (left_ms > RESOLUTION_DELAY_MS && resolve_has_acceptable(resolve))
        left_ms = RESOLUTION_DELAY_MS;
    (void)loop_ring_in_ms(&resolve->event, left_ms);
}

static void resolve_answered(struct dns_wait *wait, const struct dns_answer *answer)
{
    struct resolve_part *part = (struct resolve_part *)wait;
    part->pending = false;
    part->answer = *answer;
    if (resolve_is_pending(part->resolve))
        resolve_wind(part->resolve);
    else
        resolve_finish(part->resolve);
}

/* ---- the beginning ---- */

static void resolve_bury(struct grave *grave)
{
    free((struct resolve *)grave);
}

static struct resolve *resolve_new(struct resolver *resolver, void (*done)(void *arg, const struct resolved *resolved), void *arg)
{
    struct resolve *resolve = calloc(1, sizeof(*resolve));
    if (!resolve)
        return NULL;
    evtimer_assign(&resolve->event, resolver->loop->base, resolve_rings, resolve);
    resolve->grave.bury = resolve_bury;
    resolve->resolver = resolver;
    resolve->started_ms = loop_now_ms(resolver->loop);
    resolve->done = done;
    resolve->arg = arg;
    for (int part = 0; part < PARTS; part++) {
        resolve->parts[part].resolve = resolve;
        resolve->parts[part].wait.done = resolve_answered;
    }
    return resolve;
}

static void resolve_fail(struct resolve *resolve, enum resolve_status status, const char *detail)
{
    dns_answer_fail(&resolve->parts[PART_V4].answer, status, detail);
}

static void resolve_static(struct resolve *resolve, const struct static_host *host, const struct route *route)
{
    for (size_t i = 0; i < host->address_count; i++) {
        const struct address *address = &host->addresses[i];
        if (route_has_family(route, address->family))
            dns_answer_add(&resolve->parts[address->family == FAMILY_V6 ? PART_V6 : PART_V4].answer, address->family, address->bytes, 0);
    }
    if (!resolve_has_address(resolve))
        resolve_fail(resolve, RESOLVE_NO_WAY, "the route has no source of the family that the hosts file gives");
}

static void resolve_wait(struct resolve *resolve, const struct config *config, struct resolver_channel *channel, const struct dns_question *question,
                         struct resolve_part *part)
{
    struct resolver *resolver = resolve->resolver;
    switch (dns_lookups_wait(resolver->lookups, channel->dns, question, &config->dns, resolve->share, &part->wait)) {
    case RESOLVE_OK:
        resolver_keep_sweeping(resolver);
        part->pending = true;
        resolve->asked_dns = true;
        break;
    case RESOLVE_QUOTA:
        dns_answer_fail(&part->answer, RESOLVE_QUOTA, "too many names are being resolved for this client");
        break;
    default:
        dns_answer_fail(&part->answer, RESOLVE_OVERLOAD, "out of memory, or too many names are being resolved");
    }
}

static void resolve_ask(struct resolve *resolve, const struct config *config, struct resolver_channel *channel, enum family family, const char *name)
{
    struct resolver *resolver = resolve->resolver;
    struct resolve_part *part = &resolve->parts[family == FAMILY_V6 ? PART_V6 : PART_V4];
    struct dns_question question;
    if (!dns_question_init(&question, channel->number, family, name)) {
        dns_answer_fail(&part->answer, RESOLVE_FAILED, "not a name that DNS can be asked for");
    } else if (dns_cache_find(resolver->cache, &question, resolve->started_ms, &part->answer)) {
        resolve->from_cache = true;
    } else {
        resolve_wait(resolve, config, channel, &question, part);
    }
}

static void resolve_by_dns(struct resolve *resolve, const struct config *config, const struct route *route, const char *name)
{
    static const enum family FAMILIES[PARTS] = {FAMILY_V6, FAMILY_V4};
    if (!dns_way_is_open(route)) {
        resolve_fail(resolve, RESOLVE_NO_WAY, "the route has no source of its resolver's family");
        return;
    }
    struct resolver_channel *channel = resolver_channel(resolve->resolver, config, route);
    if (!channel) {
        resolve_fail(resolve, RESOLVE_OVERLOAD, "out of memory");
        return;
    }
    for (int i = 0; i < PARTS; i++) {
        if (route_has_family(route, FAMILIES[i]))
            resolve_ask(resolve, config, channel, FAMILIES[i], name);
        else
            resolve->left_out = true;
    }
}

struct resolve *resolve_start(struct resolver *resolver, const struct config *config, const struct route *route, const char *name,
                              const struct resolve_taste *taste, void (*done)(void *arg, const struct resolved *resolved), void *arg)
{
    struct resolve *resolve = resolve_new(resolver, done, arg);
    if (!resolve)
        return NULL;
    const struct static_host *host = config_static_host(config, name);
    resolve->timeout_ms = config->dns.timeout_ms;
    resolve->taste = *taste;
    resolve->share = resolver_share(resolver, taste->client);
    if (host)
        resolve_static(resolve, host, route);
    else
        resolve_by_dns(resolve, config, route, name);
    if (resolve_is_pending(resolve))
        resolve_wind(resolve);
    else
        event_active(&resolve->event, EV_TIMEOUT, 0);
    return resolve;
}

void resolve_cancel(struct resolve *resolve)
{
    if (!resolve->over)
        resolve_close(resolve);
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    while (resolver->channels) {
        struct resolver_channel *channel = resolver->channels;
        resolver->channels = channel->next;
        dns_channel_free(channel->dns);
        free(channel);
    }
    dns_lookups_free(resolver->lookups);
    dns_cache_free(resolver->cache);
    loop_drop(&resolver->sweep);
    free(resolver);
}
