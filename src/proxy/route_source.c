/* A route's way out as a socket: which source a client leaves from, and the options that hold a socket to its route. */
#include "proxy/route_source.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"

/* Routes are immutable and shared by all workers, so what this host lacks is kept beside them, without a lock: slots are claimed once and
 * never given back. A source that finds the table full is simply tried each time. */
enum { LACK_SLOTS = 1024, LACK_PROBES = 32 };

/* Addresses move between hosts and come up late, so a source that was lacking is tried again after a while; whoever tries it in vain goes
 * on to the next. */
enum { LACK_RETRY_MS = 10000 };

struct lack {
    _Atomic uint64_t key;      /* 0: free */
    _Atomic uint64_t until_ms; /* 0: the host has it */
};

static struct lack route_lacks[LACK_SLOTS];

/* The same address on another interface can be another thing (VRF). */
static uint64_t route_lack_key(const struct route *route, const struct source *source)
{
    uint64_t seed = route->interface ? hash_bytes(route->interface, strlen(route->interface), 0) : 0;
    uint64_t key = hash_bytes(&source->local, sizeof(source->local), seed);
    return key ? key : 1;
}

static struct lack *route_lack_find(const struct route *route, const struct source *source, bool claim)
{
    uint64_t key = route_lack_key(route, source);
    for (unsigned i = 0; i < LACK_PROBES; i++) {
        struct lack *lack = &route_lacks[(key + i) % LACK_SLOTS];
        uint64_t found = atomic_load(&lack->key);
        if (found == key)
            return lack;
        if (found)
            continue;
        if (!claim)
            return NULL;
        if (atomic_compare_exchange_strong(&lack->key, &found, key) || found == key)
            return lack;
    }
    return NULL;
}

static bool route_source_usable(const struct route *route, const struct source *source, enum family family, uint64_t now_ms)
{
    if (source->local.family != family)
        return false;
    const struct lack *lack = route_lack_find(route, source, false);
    return !lack || atomic_load(&lack->until_ms) <= now_ms;
}

/* Rendezvous hashing: each client ranks the sources for itself, so a source that goes moves only the clients that were on it. */
static uint64_t route_weight(const struct address *client, const struct source *source)
{
    const struct address pair[2] = {*client, source->local};
    return hash_bytes(pair, sizeof(pair), 0);
}

/* Counts the usable sources of the family and finds which of them, by position, the client ranks highest. */
static size_t route_survey(const struct route *route, enum family family, const struct address *client, uint64_t now_ms, size_t *favourite)
{
    size_t usable = 0;
    uint64_t best = 0;
    *favourite = 0;
    for (size_t i = 0; i < route->source_count; i++) {
        if (!route_source_usable(route, &route->sources[i], family, now_ms))
            continue;
        uint64_t weight = route->pick == PICK_STICKY ? route_weight(client, &route->sources[i]) : 0;
        if (usable == 0 || weight > best) {
            best = weight;
            *favourite = usable;
        }
        usable++;
    }
    return usable;
}

/* The last one when another worker found sources lacking since they were counted. */
static const struct source *route_usable_at(const struct route *route, enum family family, uint64_t now_ms, size_t position)
{
    const struct source *last = NULL;
    for (size_t i = 0; i < route->source_count; i++) {
        if (!route_source_usable(route, &route->sources[i], family, now_ms))
            continue;
        last = &route->sources[i];
        if (position-- == 0)
            break;
    }
    return last;
}

/* After the favourite come the others, each client beginning elsewhere, so that what spills over one full source is spread over all the rest. */
static size_t route_sticky_position(const struct address *client, size_t usable, size_t favourite, unsigned attempt)
{
    if (attempt == 0)
        return favourite;
    size_t position = (hash_bytes(client, sizeof(*client), 0) + attempt) % (usable - 1);
    return position < favourite ? position : position + 1;
}

const struct source *route_source_at(const struct route *route, enum family family, const struct address *client, unsigned turn, unsigned attempt)
{
    uint64_t now_ms = clock_monotonic_ms();
    size_t favourite, usable = route_survey(route, family, client, now_ms, &favourite);
    if (attempt >= usable)
        return NULL;
    if (route->pick == PICK_STICKY)
        return route_usable_at(route, family, now_ms, route_sticky_position(client, usable, favourite, attempt));
    return route_usable_at(route, family, now_ms, ((size_t)turn + attempt) % usable);
}

void route_source_lacks(const struct route *route, const struct source *source)
{
    char text[ADDRESS_TEXT_MAX];
    struct lack *lack = route_lack_find(route, source, true);
    if (lack && atomic_exchange(&lack->until_ms, clock_monotonic_ms() + LACK_RETRY_MS) == 0)
        log_warn("[route %s] this host does not have the source %s, it is skipped", route->name, address_text(&source->local, text));
}

static void route_source_had(const struct route *route, const struct source *source)
{
    char text[ADDRESS_TEXT_MAX];
    struct lack *lack = route_lack_find(route, source, false);
    if (lack && atomic_exchange(&lack->until_ms, 0) != 0)
        log_info("[route %s] this host has the source %s again", route->name, address_text(&source->local, text));
}

static int route_bind(const struct route *route, int fd, const struct source *source)
{
    const int on = 1;
    const struct endpoint from = {.ip = source->local};
    struct sockaddr_storage name;
    socklen_t len = (socklen_t)endpoint_to_sockaddr(&from, &name);
    /* The port is chosen at connect, where only the whole four-tuple must be free. A kernel without it has fewer ports, no other harm. */
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&name, len) != 0)
        return errno;
    route_source_had(route, source);
    return 0;
}

/* The kernel would cut a name that is too long, and might find another interface by it. */
static int route_bind_interface(int fd, const char *interface)
{
    struct ifreq request = {0};
    size_t len = strlen(interface);
    if (len >= IFNAMSIZ)
        return ENODEV;
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)len + 1) != 0)
        return errno;
    /* Over a link that is down, what is sent would only be waited for. */
    memcpy(request.ifr_name, interface, len);
    if (ioctl(fd, SIOCGIFFLAGS, &request) != 0)
        return errno;
    return (request.ifr_flags & IFF_UP) && (request.ifr_flags & IFF_RUNNING) ? 0 : ENETDOWN;
}

int route_dress(const struct route *route, int fd, enum family family, const struct source *source)
{
    int error = route->interface ? route_bind_interface(fd, route->interface) : 0;
    if (error)
        return error;
    if (route->mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &route->mark, sizeof(route->mark)) != 0)
        return errno;
    if (!source)
        return route->source_count ? EADDRNOTAVAIL : 0; /* a pinned route never leaves unbound */
    return source->local.family == family ? route_bind(route, fd, source) : EAFNOSUPPORT;
}
