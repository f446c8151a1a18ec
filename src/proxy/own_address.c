/* Whether an address leads to this host itself, as the kernel sees it now. */
#include "proxy/own_address.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

bool own_address_is(const struct address *address)
{
    const struct endpoint endpoint = {.ip = *address};
    struct sockaddr_storage name;
    socklen_t len = (socklen_t)endpoint_to_sockaddr(&endpoint, &name);
    int fd = socket(name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true;
    bool foreign = bind(fd, (struct sockaddr *)&name, len) != 0 && errno == EADDRNOTAVAIL;
    close(fd);
    return !foreign;
}
