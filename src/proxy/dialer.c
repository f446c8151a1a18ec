/* Dialling an origin: one try after the other, until the first of them is connected or the deadline passes. */
#include "proxy/dialer.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/own_dial.h"
#include "proxy/route_source.h"

enum {
    DIAL_TRIES = 8,      /* under way at once; more addresses wait until one of these fails */
    DIAL_DELAY_MS = 250, /* RFC 8305's Connection Attempt Delay */
    DIAL_BURST = 4,      /* tries that fail at once, in one turn of the loop: finding all ports of a source taken costs the kernel a long search */
    DIAL_TURNS = 64,
};

struct dial_try {
    struct dial *dial;
    struct event *writable; /* NULL: a free place */
    int fd;
    struct endpoint upstream;
    const struct source *source; /* NULL: unpinned */
};

struct dial {
    struct grave grave; /* first: dial_bury() goes back from it */
    struct loop *loop;
    const struct route *route;
    struct address client;
    uint64_t started_ms;
    unsigned turn;
    struct event pace, deadline;
    struct dial_try tries[DIAL_TRIES];
    unsigned under_way;
    struct budget *spare; /* what the tries beside the first were taken from … */
    unsigned spared;      /* … so many of them */
    struct dialed result; /* grows until it is reported */
    void (*done)(void *arg, const struct dialed *dialed);
    void *arg;
    bool over, may_come_back;
    uint16_t port;
    unsigned attempt; /* which source is next for that address */
    size_t next, count;
    struct address addresses[];
};

/* A turn counter for each route, so that routes used in alternation do not halve each other's circle. */
static _Atomic unsigned dial_turns[DIAL_TURNS];

/* ---- the order of the addresses ---- */

static const struct address *dial_next_of(const struct dial_request *request, enum family family, size_t *from)
{
    while (*from < request->address_count) {
        const struct address *address = &request->addresses[(*from)++];
        if (address->family == family)
            return address;
    }
    return NULL;
}

static void dial_interleave(struct dial *dial, const struct dial_request *request)
{
    const bool v4_first = request->first_preferred && request->address_count > 0 && request->addresses[0].family == FAMILY_V4;
    const enum family families[2] = {v4_first ? FAMILY_V4 : FAMILY_V6, v4_first ? FAMILY_V6 : FAMILY_V4};
    size_t from[2] = {0, 0};
    for (size_t before = SIZE_MAX; before != dial->count;) {
        before = dial->count;
        for (int i = 0; i < 2; i++) {
            const struct address *address = dial_next_of(request, families[i], &from[i]);
            if (address)
                dial->addresses[dial->count++] = *address;
        }
    }
}

/* ---- what an outcome says, and what is next ---- */

static bool dial_has_more(const struct dial *dial)
{
    return dial->next < dial->count && dial->under_way < DIAL_TRIES;
}

static void dial_pace(struct dial *dial, uint64_t ms)
{
    (void)loop_ring_in_ms(&dial->pace, ms); /* without it the deadline is still there */
}

/* How much an outcome says about the whole dial: not having been able to try outweighs a failure, and that a missing way. */
static int dial_weight(enum dial_status status)
{
    return status == DIAL_OVERLOAD ? 2 : status == DIAL_NO_WAY ? 0 : 1;
}

static void dial_note(struct dial *dial, enum dial_status status, int error)
{
    if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
        status = DIAL_OVERLOAD;
        dial->next = dial->count; /* what is under way may still win */
    } else if (status == DIAL_FAILED && error == ETIMEDOUT) {
        status = DIAL_TIMEOUT;
    }
    if (dial_weight(status) < dial_weight(dial->result.status))
        return;
    dial->result.status = status;
    dial->result.error = error;
}

static void dial_next_address(struct dial *dial)
{
    dial->attempt = 0;
    if (dial->next < dial->count)
        dial->next++;
}

static void dial_next_source(struct dial *dial, const struct source *source)
{
    dial_note(dial, DIAL_NO_WAY, EADDRNOTAVAIL);
    if (source)
        dial->attempt++;
    else
        dial_next_address(dial);
}

/* The sources close up over one that is lacking, so the same number names the next of them, unless it could not be noted. */
static void dial_source_lacks(struct dial *dial, const struct source *source, enum family family)
{
    dial_note(dial, DIAL_NO_WAY, EADDRNOTAVAIL);
    route_source_lacks(dial->route, source);
    if (route_source_at(dial->route, family, &dial->client, dial->turn, dial->attempt) == source)
        dial->attempt++;
}

/* ---- the end of a dial ---- */

/* One try is every dial's own; what the others took goes back with them. */
static void dial_settle(struct dial *dial)
{
    const unsigned beside = dial->under_way > 0 ? dial->under_way - 1 : 0;
    if (dial->spared > beside) /* which is rare: most dials touch nothing that workers share */
        budget_give(dial->spare, dial->spared - beside);
    dial->spared = beside;
}

static void dial_drop(struct dial_try *try)
{
    loop_drop(&try->writable);
    try->dial->under_way--;
    if (try->fd >= 0)
        close(try->fd);
    dial_settle(try->dial);
}

static void dial_bury(struct grave *grave)
{
    free((struct dial *)grave);
}

void dial_cancel(struct dial *dial)
{
    if (dial->over)
        return;
    dial->over = true;
    for (int i = 0; i < DIAL_TRIES; i++)
        if (dial->tries[i].writable)
            dial_drop(&dial->tries[i]);
    (void)event_del(&dial->pace);
    (void)event_del(&dial->deadline);
    dial->grave.bury = dial_bury;
    loop_bury(dial->loop, &dial->grave);
}

static void dial_report(struct dial *dial)
{
    const struct dialed *result = &dial->result;
    dial->result.took_ms = (uint32_t)(loop_now_ms(dial->loop) - dial->started_ms);
    dial_cancel(dial);
    dial->done(dial->arg, result); /* buried, but there until the turn ends */
}

static bool dial_egress(int fd, struct endpoint *egress)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);
    return getsockname(fd, (struct sockaddr *)&name, &len) == 0 && endpoint_from_sockaddr(egress, (struct sockaddr *)&name, len);
}

/* As the kernel has it: an IPv4 address inside IPv6 is dialled as IPv4. */
static struct endpoint dial_plain(const struct endpoint *upstream)
{
    struct endpoint plain = *upstream;
    address_unmap(&plain.ip, &upstream->ip);
    return plain;
}

/* A dial to a port of our own that nobody listens on can meet itself: that is nobody too. */
static bool dial_met_itself(const struct endpoint *egress, const struct endpoint *upstream)
{
    const struct endpoint plain = dial_plain(upstream);
    return endpoint_equal(egress, &plain);
}

static void dial_note_own(const struct dial *dial, int fd, const struct endpoint *upstream)
{
    const struct endpoint plain = dial_plain(upstream);
    struct endpoint egress;
    if (dial_egress(fd, &egress))
        own_dial_note(&egress, &plain, loop_now_ms(dial->loop));
}

static void dial_won(struct dial_try *try)
{
    struct dial *dial = try->dial;
    struct dialed *result = &dial->result;
    const int on = 1;
    (void)setsockopt(try->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    result->status = DIAL_OK;
    result->error = 0;
    result->fd = try->fd;
    result->upstream = try->upstream;
    result->egress_public = try->source ? try->source->public_ip : result->egress.ip;
    try->fd = -1;
    dial_report(dial);
}

/* ---- tries ---- */

static void dial_step(evutil_socket_t fd, short what, void *arg);

static void dial_answered(evutil_socket_t fd, short what, void *arg)
{
    struct dial_try *try = arg;
    struct dial *dial = try->dial;
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (!error && (!dial_egress(try->fd, &dial->result.egress) || dial_met_itself(&dial->result.egress, &try->upstream)))
        error = ECONNREFUSED;
    if (!error) {
        dial_won(try);
        return;
    }
    dial->result.upstream = try->upstream;
    dial_drop(try);
    dial_note(dial, DIAL_FAILED, error);
    dial_step(-1, what, dial);
}

static struct dial_try *dial_free_try(struct dial *dial)
{
    struct dial_try *try = dial->tries;
    while (try->writable)
        try++;
    return try;
}

/* Takes over the descriptor. */
static bool dial_watch(struct dial *dial, int fd, const struct endpoint *upstream, const struct source *source)
{
    struct dial_try *try = dial_free_try(dial);
    struct event *writable = loop_event(dial->loop, fd, EV_WRITE, dial_answered, try);
    if (!writable || event_add(writable, NULL) != 0) {
        loop_drop(&writable);
        close(fd);
        dial_note(dial, DIAL_OVERLOAD, ENOMEM);
        return false;
    }
    *try = (struct dial_try){.dial = dial, .writable = writable, .fd = fd, .upstream = *upstream, .source = source};
    dial->under_way++;
    if (dial->may_come_back)
        dial_note_own(dial, fd, upstream);
    dial_next_address(dial);
    return true;
}

/* A route that is held to something, and the kernel knows at once of no way that this could take: what it says of an interface that is down, and of
 * routes of the types unreachable, prohibit (EACCES) and blackhole (EINVAL). What an unpinned route meets is the network's state, not the route's. */
static bool dial_is_no_way(const struct route *route, int error)
{
    if (route->source_count == 0 && route->interface == NULL && route->mark == 0)
        return false;
    return error == ENETUNREACH || error == EHOSTUNREACH || error == ENETDOWN || error == EACCES || error == EINVAL;
}

static bool dial_connect(struct dial *dial, int fd, const struct endpoint *upstream, const struct source *source)
{
    struct sockaddr_storage name;
    socklen_t len = (socklen_t)endpoint_to_sockaddr(upstream, &name);
    int error = route_dress(dial->route, fd, upstream->ip.family, source);
    bool dressed = error == 0;
    if (dressed && connect(fd, (struct sockaddr *)&name, len) != 0)
        error = errno;
    if (!error || (dressed && error == EINPROGRESS))
        return dial_watch(dial, fd, upstream, source);
    close(fd);
    if (error == EADDRNOTAVAIL && !dressed && source) {
        dial_source_lacks(dial, source, upstream->ip.family);
    } else if (error == EADDRNOTAVAIL) {
        dial_next_source(dial, source); /* out of ports for this address */
    } else {
        dial_note(dial, dressed && !dial_is_no_way(dial->route, error) ? DIAL_FAILED : DIAL_NO_WAY, error);
        dial_next_address(dial);
    }
    return false;
}

/* One address from one source. True when it is under way. */
static bool dial_try(struct dial *dial)
{
    const struct endpoint upstream = {.ip = dial->addresses[dial->next], .port = dial->port};
    const struct source *source = NULL;
    if (dial->route->source_count) {
        source = route_source_at(dial->route, upstream.ip.family, &dial->client, dial->turn, dial->attempt);
        if (!source) { /* none of this family, or none is left */
            dial_next_address(dial);
            return false;
        }
    }
    dial->result.upstream = upstream;
    int fd = socket(upstream.ip.family == FAMILY_V6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        dial_note(dial, DIAL_FAILED, errno);
        dial_next_address(dial);
        return false;
    }
    return dial_connect(dial, fd, &upstream, source);
}

static bool dial_may_try(struct dial *dial)
{
    if (dial->under_way == 0)
        return true;
    const bool may = budget_take(dial->spare, 1);
    dial->spared += may;
    return may;
}

/* True: what is under way, or still to be tried, may bring an end; false: this is it. */
static bool dial_go_on(struct dial *dial)
{
    bool started = false, may = dial_has_more(dial) && dial_may_try(dial);
    for (int i = 0; i < DIAL_BURST && may && !started && dial_has_more(dial); i++)
        started = dial_try(dial);
    dial_settle(dial);
    if (dial_has_more(dial))
        dial_pace(dial, started || !may ? DIAL_DELAY_MS : 0);
    return dial_has_more(dial) || dial->under_way > 0;
}

static void dial_step(evutil_socket_t fd, short what, void *arg)
{
    struct dial *dial = arg;
    (void)fd;
    (void)what;
    if (!dial_go_on(dial))
        dial_report(dial);
}

/* ---- the beginning of a dial ---- */

static void dial_expire(evutil_socket_t fd, short what, void *arg)
{
    struct dial *dial = arg;
    (void)fd;
    (void)what;
    dial->result.status = DIAL_TIMEOUT;
    dial->result.error = ETIMEDOUT;
    dial_report(dial);
}

static struct dial *dial_new(struct loop *loop, const struct dial_request *request)
{
    struct dial *dial = calloc(1, sizeof(*dial) + request->address_count * sizeof(*dial->addresses));
    if (!dial)
        return NULL;
    evtimer_assign(&dial->pace, loop->base, dial_step, dial);
    evtimer_assign(&dial->deadline, loop->base, dial_expire, dial);
    dial->loop = loop;
    dial->route = request->route;
    dial->client = request->client;
    dial->port = request->port;
    dial->spare = request->tries;
    dial->may_come_back = request->may_come_back;
    dial->started_ms = loop_now_ms(loop);
    dial->turn = atomic_fetch_add(&dial_turns[request->route->number % DIAL_TURNS], 1);
    dial->result = (struct dialed){.status = DIAL_NO_WAY, .error = EADDRNOTAVAIL, .fd = -1};
    dial_interleave(dial, request);
    return dial;
}

struct dial *dial_start(struct loop *loop, const struct dial_request *request, void (*done)(void *arg, const struct dialed *dialed), void *arg)
{
    struct dial *dial = dial_new(loop, request);
    if (!dial)
        return NULL;
    dial->done = done;
    dial->arg = arg;
    if (!loop_ring_in_ms(&dial->deadline, request->timeout_ms)) {
        free(dial);
        return NULL;
    }
    if (!dial_go_on(dial))
        event_active(&dial->pace, EV_TIMEOUT, 0); /* tells so, but not before dial_start() has returned */
    return dial;
}
