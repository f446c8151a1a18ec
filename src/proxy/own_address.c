/* Whether an address leads to this host itself, as the kernel sees it now. */
#include "proxy/own_address.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"

enum {
    KNOWN_PLACES = 256, /* one for each hash: the last answer that fell there */
    KNOWN_MS = 1000,    /* for what the kernel is silent about: some routes go with their link */
    NEWS_BYTES = 4096,  /* a few messages: where more are lost the kernel says so, which says enough */
};

/* What the kernel said. */
struct own_known {
    struct address address;
    uint32_t mark;
    uint64_t change; /* as of which */
    uint64_t until_ms;
    enum own_answer answer;
};

struct own_address {
    int fd;
    int news;        /* where the kernel tells of changes; -1: it does not, and nothing is known for longer than it is looked at */
    uint32_t asked;  /* how many questions: the number of the last */
    uint64_t change; /* how many were seen, from 1 */
    uint64_t seed;
    struct own_known known[KNOWN_PLACES];
};

/* A question for the route to one address (rtnetlink(7)). */
struct own_question {
    struct nlmsghdr header;
    struct rtmsg route;
    struct rtattr with;
    uint32_t mark;
    struct rtattr to;
    uint8_t bytes[16];
};

union own_message {
    struct nlmsghdr header;
    char space[4096];
};

/* Addresses are routes, of which rules choose one. An address is told of before it is routed, a route after: so the routes are what counts. */
static int own_address_open_news(void)
{
    const uint32_t groups = RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE | 1u << (RTNLGRP_IPV6_RULE - 1) | RTMGRP_LINK;
    const struct sockaddr_nl from = {.nl_family = AF_NETLINK, .nl_groups = groups};
    const int size = NEWS_BYTES;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == 0 && bind(fd, (const struct sockaddr *)&from, sizeof(from)) == 0)
        return fd;
    close(fd);
    return -1;
}

struct own_address *own_address_new(void)
{
    struct own_address *own = calloc(1, sizeof(*own));
    if (own == NULL)
        return NULL;
    own->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (own->fd < 0) {
        free(own);
        return NULL;
    }
    own->news = own_address_open_news();
    own->change = 1;
    own->seed = hash_seed();
    return own;
}

void own_address_free(struct own_address *own)
{
    if (own == NULL)
        return;
    if (own->news >= 0)
        close(own->news);
    close(own->fd);
    free(own);
}

static bool own_address_send(struct own_address *own, const struct address *address, uint32_t mark)
{
    const size_t size = address_size(address);
    struct own_question question = {
        .header = {.nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = ++own->asked},
        .route = {.rtm_family = address->family == FAMILY_V6 ? AF_INET6 : AF_INET, .rtm_dst_len = (unsigned char)(8 * size)},
        .with = {.rta_type = RTA_MARK, .rta_len = (unsigned short)(sizeof(struct rtattr) + sizeof(mark))},
        .mark = mark,
        .to = {.rta_type = RTA_DST, .rta_len = (unsigned short)(sizeof(struct rtattr) + size)},
    };
    question.header.nlmsg_len = (uint32_t)(offsetof(struct own_question, bytes) + size);
    memcpy(question.bytes, address->bytes, size);
    return send(own->fd, &question, question.header.nlmsg_len, 0) == (ssize_t)question.header.nlmsg_len;
}

/* The kernel answers within send(2). What is left of a question that failed halfway is thrown away. */
static ssize_t own_address_receive(const struct own_address *own, union own_message *answer)
{
    ssize_t got;
    do
        got = recv(own->fd, answer, sizeof(*answer), MSG_DONTWAIT);
    while (got >= (ssize_t)NLMSG_LENGTH(0) && answer->header.nlmsg_seq != own->asked);
    return got;
}

static bool own_address_is_whole(const union own_message *answer, ssize_t len, uint16_t type, size_t body)
{
    return len >= (ssize_t)NLMSG_LENGTH(body) && answer->header.nlmsg_type == type;
}

/* An address without any route leads nowhere, so not here. */
static enum own_answer own_address_read(const union own_message *answer, ssize_t len)
{
    const void *body = NLMSG_DATA(&answer->header);
    if (own_address_is_whole(answer, len, RTM_NEWROUTE, sizeof(struct rtmsg)))
        return ((const struct rtmsg *)body)->rtm_type == RTN_LOCAL ? OWN_YES : OWN_NO;
    if (!own_address_is_whole(answer, len, NLMSG_ERROR, sizeof(struct nlmsgerr)))
        return OWN_UNKNOWN;
    int error = -((const struct nlmsgerr *)body)->error;
    return error == ENOMEM || error == ENOBUFS ? OWN_UNKNOWN : OWN_NO;
}

static enum own_answer own_address_ask_kernel(struct own_address *own, const struct address *address, uint32_t mark)
{
    union own_message answer;
    if (!own_address_send(own, address, mark))
        return OWN_UNKNOWN;
    ssize_t got = own_address_receive(own, &answer);
    return own_address_read(&answer, got);
}

/* Only "nothing there" at once means that nothing has changed. What has been lost (ENOBUFS) comes before what is there; the change counts from after
 * all of it was taken. */
static void own_address_hear(struct own_address *own)
{
    bool changed = false;
    while (recv(own->news, NULL, 0, MSG_DONTWAIT | MSG_TRUNC) >= 0 || errno == ENOBUFS)
        changed = true;
    if (changed || errno != EAGAIN)
        own->change++;
}

static struct own_known *own_address_place(struct own_address *own, const struct address *address, uint32_t mark)
{
    uint8_t key[sizeof(*address) + sizeof(mark)];
    memcpy(key, address, sizeof(*address));
    memcpy(key + sizeof(*address), &mark, sizeof(mark));
    return &own->known[hash_bytes(key, sizeof(key), own->seed) % KNOWN_PLACES];
}

static bool own_address_knows(const struct own_address *own, const struct own_known *known, const struct address *address, uint32_t mark,
                              uint64_t now_ms)
{
    return known->change == own->change && now_ms < known->until_ms && known->mark == mark && address_equal(&known->address, address);
}

enum own_answer own_address_ask(struct own_address *own, const struct address *address, uint32_t mark)
{
    struct address plain;
    if (!address_unmap(&plain, address))
        plain = *address;
    if (!address_is_set(&plain))
        return OWN_UNKNOWN;
    own_address_hear(own);
    const uint64_t now_ms = clock_monotonic_ms();
    struct own_known *known = own_address_place(own, &plain, mark);
    if (own_address_knows(own, known, &plain, mark, now_ms))
        return known->answer;
    const enum own_answer answer = own_address_ask_kernel(own, &plain, mark);
    if (answer != OWN_UNKNOWN)
        *known = (struct own_known){.address = plain, .mark = mark, .change = own->change, .until_ms = now_ms + KNOWN_MS, .answer = answer};
    return answer;
}

uint32_t own_address_asked(const struct own_address *own)
{
    return own->asked;
}
