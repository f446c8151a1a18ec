/* A few questions over one channel of c-ares: sockets, retries, TCP for what is truncated. The only place that knows c-ares. */
#include "proxy/dns_batch.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    RESOLV_CONF_SERVERS = 3, /* as many as resolv.conf(5) knows; for the pace only */
    FIRST_TRY_MS = 1000,
    ROUNDS_MAX = 8,
    TIMER_SLACK_MS = 2, /* c-ares cuts its timeouts to milliseconds: a little later saves a turn for nothing */
};

struct dns_socket {
    struct grave grave;
    struct dns_socket *next;
    struct dns_batch *batch;
    struct event *event;
    int fd;
};

/* ---- time ---- */

/* Every server gets a first try; then rounds of doubled patience (as c-ares does) until the whole timeout is used. */
static void dns_batch_pace(const struct dns_way *way, struct ares_options *options)
{
    uint64_t servers = way->server_count ? way->server_count : RESOLV_CONF_SERVERS;
    uint64_t first = way->timeout_ms / (3 * servers);
    first = first > FIRST_TRY_MS ? FIRST_TRY_MS : first ? first : 1;
    options->timeout = (int)first;
    options->tries = 1;
    for (uint64_t round = servers * first, used = round; used < way->timeout_ms && options->tries < ROUNDS_MAX; options->tries++)
        used += round *= 2;
}

static void dns_batch_wind(struct dns_batch *batch)
{
    struct timeval space, *next = ares_timeout(batch->ares, NULL, &space);
    if (!next) {
        event_del(batch->timer);
        return;
    }
    next->tv_usec += TIMER_SLACK_MS * 1000;
    next->tv_sec += next->tv_usec / 1000000;
    next->tv_usec %= 1000000;
    event_add(batch->timer, next);
}

static void dns_batch_process(struct dns_batch *batch, int readable, int writable)
{
    batch->error = 0;
    batch->rcode = 0;
    ares_process_fd(batch->ares, readable, writable);
    dns_batch_wind(batch);
}

static void dns_batch_late(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    dns_batch_process(arg, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* ---- sockets, as c-ares asks for them ---- */

static void dns_socket_ready(evutil_socket_t fd, short what, void *arg)
{
    struct dns_socket *sock = arg;
    dns_batch_process(sock->batch, what & EV_READ ? fd : ARES_SOCKET_BAD, what & EV_WRITE ? fd : ARES_SOCKET_BAD);
}

static void dns_socket_bury(struct grave *grave)
{
    struct dns_socket *sock = (struct dns_socket *)grave;
    event_free(sock->event);
    free(sock);
}

static struct dns_socket *dns_socket_new(struct dns_batch *batch, int fd)
{
    struct dns_socket *sock = calloc(1, sizeof(*sock));
    if (!sock)
        return NULL;
    sock->event = event_new(batch->loop->base, fd, EV_READ | EV_PERSIST, dns_socket_ready, sock);
    if (!sock->event) {
        free(sock);
        return NULL;
    }
    sock->grave.bury = dns_socket_bury;
    sock->batch = batch;
    sock->fd = fd;
    sock->next = batch->sockets;
    batch->sockets = sock;
    return sock;
}

static ares_socket_t dns_socket_open(int domain, int type, int protocol, void *arg)
{
    (void)protocol;
    struct dns_batch *batch = arg;
    int fd = dns_way_socket(batch->way, domain == AF_INET6 ? FAMILY_V6 : FAMILY_V4, type);
    if (fd < 0) {
        batch->error = errno;
        return ARES_SOCKET_BAD;
    }
    if (dns_socket_new(batch, fd))
        return fd;
    batch->error = ENOMEM;
    close(fd);
    return ARES_SOCKET_BAD;
}

static int dns_socket_connect(ares_socket_t fd, const struct sockaddr *to, ares_socklen_t len, void *arg)
{
    struct dns_batch *batch = arg;
    int status = connect(fd, to, len);
    if (status != 0 && errno != EINPROGRESS)
        batch->error = errno;
    return status;
}

/* c-ares tells what it waits for; neither: it is about to close. */
static void dns_socket_want(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct dns_batch *batch = arg;
    struct dns_socket *sock = batch->sockets;
    while (sock && sock->fd != fd)
        sock = sock->next;
    if (!sock)
        return;
    event_del(sock->event);
    if (!readable && !writable)
        return;
    short what = (short)((readable ? EV_READ : 0) | (writable ? EV_WRITE : 0) | EV_PERSIST);
    event_assign(sock->event, batch->loop->base, fd, what, dns_socket_ready, sock);
    event_add(sock->event, NULL);
}

/* "Refused" is about the datagram before: said here, only this question would hear of it, so it is sent for the refusal to be read, by all. */
static ares_ssize_t dns_socket_send(ares_socket_t fd, const struct iovec *pieces, int count, void *arg)
{
    (void)arg;
    struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)count};
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    return sent < 0 && errno == ECONNREFUSED ? sendmsg(fd, &message, MSG_NOSIGNAL) : sent;
}

/* When every server said SERVFAIL or the like, c-ares 1.18 only reports that nobody could be asked: so the code of the last answer is kept for the
 * detail. An empty datagram would make an unpatched c-ares drop the socket and all that is in flight on it (CVE-2023-32067). */
static ares_ssize_t dns_socket_receive(ares_socket_t fd, void *data, size_t size, int flags, struct sockaddr *from, ares_socklen_t *from_len,
                                       void *arg)
{
    struct dns_batch *batch = arg;
    const bool datagram = from != NULL;
    ssize_t got = recvfrom(fd, data, size, flags, from, from_len);
    batch->rcode = datagram && got >= 4 ? ((const uint8_t *)data)[3] & 0x0f : 0;
    if (!datagram || got != 0)
        return got;
    errno = EAGAIN;
    return -1;
}

static int dns_socket_close(ares_socket_t fd, void *arg)
{
    struct dns_batch *batch = arg;
    struct dns_socket **link = &batch->sockets;
    while (*link && (*link)->fd != fd)
        link = &(*link)->next;
    struct dns_socket *sock = *link;
    if (sock) {
        *link = sock->next;
        event_del(sock->event);
        loop_bury(batch->loop, &sock->grave);
    }
    return close(fd);
}

/* ---- a batch: made and ended ---- */

static int dns_batch_set_servers(struct dns_batch *batch, const struct dns_way *way)
{
    if (way->server_count == 0)
        return ARES_SUCCESS;
    struct ares_addr_port_node *nodes = calloc(way->server_count, sizeof(*nodes));
    if (!nodes)
        return ARES_ENOMEM;
    for (size_t i = 0; i < way->server_count; i++) {
        const struct endpoint *server = &way->servers[i];
        nodes[i].next = i + 1 < way->server_count ? &nodes[i + 1] : NULL;
        nodes[i].family = server->ip.family == FAMILY_V6 ? AF_INET6 : AF_INET;
        memcpy(&nodes[i].addr, server->ip.bytes, address_size(&server->ip));
        nodes[i].udp_port = nodes[i].tcp_port = server->port;
    }
    int status = ares_set_servers_ports(batch->ares, nodes);
    free(nodes);
    return status;
}

/* Nothing is left to the defaults, so that with servers of our own c-ares opens no file and heeds no environment. */
static bool dns_batch_init(struct dns_batch *batch, const struct dns_way *way)
{
    static char lookups[] = "b";
    static const struct ares_socket_functions functions = {
        .asocket = dns_socket_open,
        .aclose = dns_socket_close,
        .aconnect = dns_socket_connect,
        .arecvfrom = dns_socket_receive,
        .asendv = dns_socket_send,
    };
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
        .lookups = lookups,
        .ndots = 1,
        .sock_state_cb = dns_socket_want,
        .sock_state_cb_data = batch,
    };
    int given = ARES_OPT_FLAGS | ARES_OPT_LOOKUPS | ARES_OPT_NDOTS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_DOMAINS | ARES_OPT_SORTLIST |
                ARES_OPT_NOROTATE | ARES_OPT_SOCK_STATE_CB | (way->server_count ? ARES_OPT_SERVERS : 0);
    dns_batch_pace(way, &options);
    if (ares_init_options(&batch->ares, &options, given) != ARES_SUCCESS)
        return false;
    ares_set_socket_functions(batch->ares, &functions, batch);
    if (dns_batch_set_servers(batch, way) == ARES_SUCCESS)
        return true;
    ares_destroy(batch->ares);
    return false;
}

static void dns_batch_bury(struct grave *grave)
{
    struct dns_batch *batch = (struct dns_batch *)grave;
    event_free(batch->timer);
    free(batch);
}

/* The ids are drawn here: c-ares seeds its own from /dev/urandom, or where a sandbox hides that from rand(). */
static bool dns_batch_draw_ids(struct dns_batch *batch)
{
    return getrandom(batch->ids, sizeof(batch->ids), 0) == (ssize_t)sizeof(batch->ids);
}

struct dns_batch *dns_batch_new(struct loop *loop, const struct dns_way *way)
{
    struct dns_batch *batch = calloc(1, sizeof(*batch));
    if (!batch)
        return NULL;
    batch->grave.bury = dns_batch_bury;
    batch->loop = loop;
    batch->way = way;
    batch->timer = evtimer_new(loop->base, dns_batch_late, batch);
    if (batch->timer && dns_batch_draw_ids(batch) && dns_batch_init(batch, way))
        return batch;
    if (batch->timer)
        event_free(batch->timer);
    free(batch);
    return NULL;
}

void dns_batch_end(struct dns_batch *batch)
{
    ares_destroy(batch->ares);
    event_del(batch->timer);
    loop_bury(batch->loop, &batch->grave);
}

bool dns_batch_is_full(const struct dns_batch *batch)
{
    return batch->asked >= DNS_BATCH_MAX;
}

bool dns_batch_is_idle(const struct dns_batch *batch)
{
    return batch->in_flight == 0;
}

/* ---- answers ---- */

static const char *dns_rcode_text(unsigned rcode)
{
    switch (rcode) {
    case ns_r_formerr:
        return "FORMERR";
    case ns_r_servfail:
        return "SERVFAIL";
    case ns_r_notimpl:
        return "NOTIMP";
    case ns_r_refused:
        return "REFUSED";
    default:
        return "the resolver answered with an error";
    }
}

/* The status of c-ares. Of more addresses than RESOLVED_MAX the first are taken. */
static int dns_answer_parse(struct dns_answer *answer, enum family family, const unsigned char *packet, int len)
{
    struct ares_addrttl v4[RESOLVED_MAX];
    struct ares_addr6ttl v6[RESOLVED_MAX];
    int count = RESOLVED_MAX;
    int status = family == FAMILY_V6 ? ares_parse_aaaa_reply(packet, len, NULL, v6, &count) : ares_parse_a_reply(packet, len, NULL, v4, &count);
    if (status != ARES_SUCCESS)
        return status;
    for (int i = 0; i < count; i++)
        if (family == FAMILY_V6)
            dns_answer_add(answer, family, &v6[i].ip6addr, v6[i].ttl);
        else
            dns_answer_add(answer, family, &v4[i].ipaddr, v4[i].ttl);
    return answer->count ? ARES_SUCCESS : ARES_ENODATA;
}

/* c-ares has compared id, question and sender. */
static void dns_answer_read(struct dns_answer *answer, enum family family, const unsigned char *packet, int len)
{
    if (len < NS_HFIXEDSZ || !(packet[2] & 0x80)) {
        dns_answer_fail(answer, RESOLVE_FAILED, "malformed answer");
        return;
    }
    unsigned rcode = packet[3] & 0x0f;
    if (rcode == ns_r_nxdomain) {
        dns_answer_deny(answer, "NXDOMAIN");
        return;
    }
    if (rcode != ns_r_noerror) {
        dns_answer_fail(answer, RESOLVE_FAILED, dns_rcode_text(rcode));
        return;
    }
    switch (dns_answer_parse(answer, family, packet, len)) {
    case ARES_SUCCESS:
        break;
    case ARES_ENODATA:
        dns_answer_deny(answer, "no address of this name");
        answer->no_data = true;
        break;
    case ARES_ENOMEM:
        dns_answer_fail(answer, RESOLVE_OVERLOAD, "out of memory");
        break;
    default:
        dns_answer_fail(answer, RESOLVE_FAILED, "malformed answer");
    }
}

/* No socket could be had. */
static void dns_answer_unasked(struct dns_answer *answer, const struct dns_batch *batch)
{
    switch (batch->error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
        dns_answer_fail(answer, RESOLVE_OVERLOAD, "out of descriptors or memory");
        break;
    default:
        if (batch->way->own)
            dns_answer_fail(answer, RESOLVE_NO_WAY, "the route's resolver cannot be asked from the route's sources");
        else
            dns_answer_fail(answer, RESOLVE_FAILED, "the resolver cannot be reached");
    }
}

static void dns_answer_lack(struct dns_answer *answer, const struct dns_batch *batch, int status)
{
    if (batch->rcode)
        dns_answer_fail(answer, RESOLVE_FAILED, dns_rcode_text(batch->rcode));
    else if (status == ARES_ETIMEOUT)
        dns_answer_fail(answer, RESOLVE_TIMEOUT, "the resolver did not answer");
    else if (status == ARES_ENOMEM)
        dns_answer_fail(answer, RESOLVE_OVERLOAD, "out of memory");
    else if (status == ARES_ENOTFOUND) /* c-ares itself, of .onion (RFC 7686) */
        dns_answer_deny(answer, "NXDOMAIN");
    else if (status == ARES_EBADNAME)
        dns_answer_fail(answer, RESOLVE_FAILED, "not a name that DNS can be asked for");
    else if (batch->error)
        dns_answer_unasked(answer, batch);
    else
        dns_answer_fail(answer, RESOLVE_FAILED, "no resolver gave an answer");
}

/* Called by c-ares. */
static void dns_batch_answered(void *arg, int status, int timeouts, unsigned char *packet, int len)
{
    (void)timeouts;
    struct dns_asked *asked = arg;
    asked->batch->in_flight--;
    if (status == ARES_SUCCESS)
        dns_answer_read(&asked->answer, asked->family, packet, len);
    else
        dns_answer_lack(&asked->answer, asked->batch, status);
    asked->answered(asked);
}

/* ---- questions ---- */

static int dns_batch_send(struct dns_batch *batch, const struct dns_question *question, uint16_t id, struct dns_asked *asked)
{
    unsigned char *packet;
    int len;
    int status = ares_create_query(question->name, ns_c_in, question->family == FAMILY_V6 ? ns_t_aaaa : ns_t_a, id, 1, &packet, &len, 0);
    if (status != ARES_SUCCESS)
        return status;
    batch->error = 0;
    batch->rcode = 0;
    ares_send(batch->ares, packet, len, dns_batch_answered, asked);
    ares_free_string(packet);
    return ARES_SUCCESS;
}

void dns_batch_ask(struct dns_batch *batch, const struct dns_question *question, struct dns_asked *asked)
{
    assert(!dns_batch_is_full(batch));
    asked->batch = batch;
    asked->family = question->family;
    batch->in_flight++;
    int status = dns_batch_send(batch, question, batch->ids[batch->asked++], asked);
    if (status != ARES_SUCCESS)
        dns_batch_answered(asked, status, 0, NULL, 0);
    dns_batch_wind(batch);
}
