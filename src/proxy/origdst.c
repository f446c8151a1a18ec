/* Where a client that the network brought here meant to go. */
#include "proxy/origdst.h"

#include <netinet/in.h>
#include <sys/socket.h>

/* The kernel's own headers give way only to what stands before them. */
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

/* Conntrack's memory of the address that the client dialled. None: nobody rewrote it. */
static bool origdst_rewritten(int fd, sa_family_t family, struct sockaddr_storage *name, socklen_t *len)
{
    *len = sizeof(*name);
    if (family == AF_INET6)
        return getsockopt(fd, IPPROTO_IPV6, IP6T_SO_ORIGINAL_DST, name, len) == 0;
    return getsockopt(fd, IPPROTO_IP, SO_ORIGINAL_DST, name, len) == 0;
}

bool origdst_find(struct endpoint *out, int fd, enum listener_mode mode)
{
    struct sockaddr_storage name, first;
    socklen_t len = sizeof(name), first_len;
    *out = (struct endpoint){.port = 0};
    if (getsockname(fd, (struct sockaddr *)&name, &len) != 0)
        return false;
    if (mode == LISTENER_REDIRECT && origdst_rewritten(fd, name.ss_family, &first, &first_len))
        return endpoint_from_sockaddr(out, (struct sockaddr *)&first, first_len);
    return endpoint_from_sockaddr(out, (struct sockaddr *)&name, len);
}
