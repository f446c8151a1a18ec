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

struct own_address {
    int fd;
    uint32_t asked; /* how many questions: the number of the last */
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

struct own_address *own_address_new(void)
{
    struct own_address *own = calloc(1, sizeof(*own));
    if (own == NULL)
        return NULL;
    own->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (own->fd >= 0)
        return own;
    free(own);
    return NULL;
}

void own_address_free(struct own_address *own)
{
    if (own == NULL)
        return;
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

enum own_answer own_address_ask(struct own_address *own, const struct address *address, uint32_t mark)
{
    struct address plain;
    union own_message answer;
    if (!address_unmap(&plain, address))
        plain = *address;
    if (!address_is_set(&plain) || !own_address_send(own, &plain, mark))
        return OWN_UNKNOWN;
    ssize_t got = own_address_receive(own, &answer);
    return own_address_read(&answer, got);
}
