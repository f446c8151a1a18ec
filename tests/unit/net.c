/* What the tests of src/proxy need of sockets. */
#include "net.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

struct address net_address(const char *text)
{
    struct address address;
    cr_assert(address_read(&address, text, strlen(text)), "%s is no address", text);
    return address;
}

static int net_socket(const struct address *ip)
{
    int fd = socket(ip->family == FAMILY_V6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0, "socket: %s", strerror(errno));
    return fd;
}

int net_refuse(const char *ip, struct endpoint *at)
{
    struct sockaddr_storage name;
    *at = (struct endpoint){.ip = net_address(ip)};
    int fd = net_socket(&at->ip);
    socklen_t len = (socklen_t)endpoint_to_sockaddr(at, &name);
    cr_assert(bind(fd, (struct sockaddr *)&name, len) == 0, "bind to %s: %s", ip, strerror(errno));
    cr_assert(getsockname(fd, (struct sockaddr *)&name, &len) == 0 && endpoint_from_sockaddr(at, (struct sockaddr *)&name, len));
    return fd;
}

int net_listen(const char *ip, struct endpoint *at)
{
    int fd = net_refuse(ip, at);
    cr_assert(listen(fd, 64) == 0);
    return fd;
}

static int net_connect(const struct endpoint *to)
{
    struct sockaddr_storage name;
    int fd = net_socket(&to->ip);
    socklen_t len = (socklen_t)endpoint_to_sockaddr(to, &name);
    if (connect(fd, (struct sockaddr *)&name, len) != 0) {
        struct pollfd poller = {.fd = fd, .events = POLLOUT};
        cr_assert(errno == EINPROGRESS && poll(&poller, 1, 5000) == 1 && !(poller.revents & POLLERR), "connect");
    }
    return fd;
}

int net_silent(const char *ip, struct endpoint *at, int *filler)
{
    int fd = net_refuse(ip, at);
    cr_assert(listen(fd, 0) == 0); /* room for one; the SYNs of others are dropped */
    *filler = net_connect(at);
    return fd;
}

int net_accept(int listener, struct endpoint *from)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof name;
    struct pollfd poller = {.fd = listener, .events = POLLIN};
    cr_assert(poll(&poller, 1, 5000) == 1, "nobody came");
    int fd = accept4(listener, (struct sockaddr *)&name, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    cr_assert(fd >= 0, "accept: %s", strerror(errno));
    if (from)
        cr_assert(endpoint_from_sockaddr(from, (struct sockaddr *)&name, len));
    return fd;
}

void net_tcp_pair(int pair[2])
{
    const int on = 1;
    struct endpoint at;
    int listener = net_listen("127.0.0.1", &at);
    pair[0] = net_connect(&at);
    pair[1] = net_accept(listener, NULL);
    for (int i = 0; i < 2; i++)
        cr_assert(setsockopt(pair[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    close(listener);
}

void net_unix_pair(int pair[2])
{
    cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
}

void net_reset(int fd)
{
    const struct linger now = {.l_onoff = 1};
    cr_assert(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
    close(fd);
}

bool net_own_network(void)
{
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        fprintf(stderr, "SKIPPED: no network of one's own: %s\n", strerror(errno));
        return false;
    }
    net_set_lo(true);
    return true;
}

void net_set_lo(bool up)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = up ? IFF_UP : 0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0, "lo: %s", strerror(errno));
    close(fd);
}

void net_set_sysctl(const char *name, const char *value)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/net/%s", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    cr_assert(fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value), "%s: %s", path, strerror(errno));
    close(fd);
}

size_t net_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    cr_assert(dir);
    size_t count = 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void net_ring(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    *(bool *)arg = true;
}

bool net_run(struct loop *loop, const bool *flag, unsigned limit_ms)
{
    bool late = false;
    const struct timeval limit = {.tv_sec = limit_ms / 1000, .tv_usec = limit_ms % 1000 * 1000};
    struct event *alarm = evtimer_new(loop->base, net_ring, &late);
    cr_assert(alarm && evtimer_add(alarm, &limit) == 0);
    while (!late && !(flag && *flag))
        cr_assert(event_base_loop(loop->base, EVLOOP_ONCE) >= 0);
    event_free(alarm);
    return flag && *flag;
}

uint64_t net_now_ms(void)
{
    return clock_monotonic_ms();
}

int net_option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    cr_assert(getsockopt(fd, level, name, &value, &len) == 0);
    return value;
}
