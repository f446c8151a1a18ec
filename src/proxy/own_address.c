/* Whether an address leads to this host itself, as the kernel sees it now. */
#include "proxy/own_address.h"

#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A question for the route to one address (rtnetlink(7)). */
struct own_question {
    struct nlmsghdr header;
    struct rtmsg route;
    struct rtattr to;
    uint8_t bytes[16];
};

static bool own_address_ask(int fd, const struct address *address)
{
    const size_t size = address_size(address);
    struct own_question question = {
        .header = {.nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST},
        .route = {.rtm_family = address->family == FAMILY_V6 ? AF_INET6 : AF_INET, .rtm_dst_len = (unsigned char)(8 * size)},
        .to = {.rta_type = RTA_DST, .rta_len = (unsigned short)(sizeof(struct rtattr) + size)},
    };
    question.header.nlmsg_len = (uint32_t)(offsetof(struct own_question, bytes) + size);
    memcpy(question.bytes, address->bytes, size);
    return send(fd, &question, question.header.nlmsg_len, 0) == (ssize_t)question.header.nlmsg_len;
}

/* The kernel answers within send(2). An address without any route leads nowhere, so not here. */
static bool own_address_hear(int fd)
{
    union {
        struct nlmsghdr header;
        char space[4096];
    } answer;
    ssize_t got = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT);
    if (got < (ssize_t)NLMSG_LENGTH(0))
        return true;
    if (answer.header.nlmsg_type != RTM_NEWROUTE || got < (ssize_t)NLMSG_LENGTH(sizeof(struct rtmsg)))
        return answer.header.nlmsg_type != NLMSG_ERROR;
    return ((const struct rtmsg *)NLMSG_DATA(&answer.header))->rtm_type == RTN_LOCAL;
}

bool own_address_is(const struct address *address)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return true;
    bool own = address_size(address) == 0 || !own_address_ask(fd, address) || own_address_hear(fd);
    close(fd);
    return own;
}
