/* Sockets, loop and ClientHello of the load generator. */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { TURN_EVENTS = 256, HELLO_RANDOM = 11 };

uint8_t net_scratch[NET_BUFFER];

static int net_epoll = -1;
static void **net_graves;
static size_t net_grave_count, net_grave_size;

void net_fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

bool net_address(struct sockaddr_in *address, const char *text)
{
    char host[INET_ADDRSTRLEN];
    const char *colon = strchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof(host))
        return false;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
    return inet_pton(AF_INET, host, &address->sin_addr) == 1;
}

int net_listen(bool transparent)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || (transparent && setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof(on)) != 0) ||
        bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 4096) != 0 || getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        net_fail("cannot listen");
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int net_connect(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || (connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0 && errno != EINPROGRESS))
        net_fail("cannot connect");
    return fd;
}

ssize_t net_swallow(int fd)
{
    return recv(fd, NULL, 1 << 20, MSG_TRUNC);
}

static void net_control(struct watch *watch, int how, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (net_epoll < 0)
        net_epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ctl(net_epoll, how, watch->fd, &event) != 0)
        net_fail("cannot watch a socket");
}

void net_watch(struct watch *watch, uint32_t events)
{
    net_control(watch, EPOLL_CTL_ADD, events);
}

void net_rewatch(struct watch *watch, uint32_t events)
{
    net_control(watch, EPOLL_CTL_MOD, events);
}

void net_bury(void *gone)
{
    if (net_grave_count == net_grave_size) {
        net_grave_size = net_grave_size * 2 + 64;
        net_graves = realloc(net_graves, net_grave_size * sizeof(*net_graves));
        if (!net_graves)
            net_fail("cannot bury");
    }
    net_graves[net_grave_count++] = gone;
}

bool net_turn(int patience_ms)
{
    struct epoll_event events[TURN_EVENTS];
    int count = epoll_wait(net_epoll, events, TURN_EVENTS, patience_ms);
    if (count < 0 && errno != EINTR)
        net_fail("cannot wait");
    for (int i = 0; i < count; i++) {
        struct watch *watch = events[i].data.ptr;
        if (watch->fd >= 0) /* not closed earlier in this turn */
            watch->ready(watch, events[i].events);
    }
    while (net_grave_count > 0)
        free(net_graves[--net_grave_count]);
    return count != 0;
}

/* ---- the hello ---- */

static uint8_t *hello_16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

static uint8_t *hello_extension(uint8_t *at, unsigned type, const void *body, size_t len)
{
    at = hello_16(hello_16(at, type), len);
    if (len > 0)
        memcpy(at, body, len);
    return at + len;
}

static uint8_t *hello_name(uint8_t *at, const char *name)
{
    size_t len = strlen(name);
    at = hello_16(hello_16(hello_16(at, 0), len + 5), len + 3);
    *at++ = 0;
    at = hello_16(at, len);
    memcpy(at, name, len);
    return at + len;
}

static uint8_t *hello_key(uint8_t *at)
{
    at = hello_16(hello_16(hello_16(at, 51), 38), 36);
    at = hello_16(hello_16(at, 29), 32);
    memset(at, 9, 32); /* no key: nobody here ever answers with a handshake */
    return at + 32;
}

/* TLS 1.3 as openssl or a browser would offer it, padded. */
static uint8_t *hello_extensions(uint8_t *at, const uint8_t *end, const char *name)
{
    static const uint8_t groups[] = {0, 6, 0, 29, 0, 23, 0, 24}, points[] = {1, 0}, protocols[] = "\0\14\2h2\10http/1.1",
                         versions[] = {4, 3, 4, 3, 3}, modes[] = {1, 1}, signatures[] = {0, 16, 4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1};
    at = hello_name(at, name);
    at = hello_extension(at, 10, groups, sizeof(groups));
    at = hello_extension(at, 11, points, sizeof(points));
    at = hello_extension(at, 13, signatures, sizeof(signatures));
    at = hello_extension(at, 16, protocols, sizeof(protocols) - 1);
    at = hello_extension(at, 23, NULL, 0);
    at = hello_extension(at, 43, versions, sizeof(versions));
    at = hello_extension(at, 45, modes, sizeof(modes));
    at = hello_key(at);
    size_t left = (size_t)(end - at) - 4;
    at = hello_16(hello_16(at, 21), left);
    memset(at, 0, left);
    return at + left;
}

void net_hello(uint8_t *hello, const char *name, enum net_task task, uint64_t count)
{
    static const uint8_t middle[] = {0, 16, 0x13, 1, 0x13, 2, 0x13, 3, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc, 0xa9, 1, 0};
    uint8_t *const end = hello + NET_HELLO, *at = hello;
    memcpy(at, "\x16\x03\x01", 3);
    at = hello_16(at + 3, NET_HELLO - 5);
    memcpy(at, "\1\0", 2);
    at = hello_16(hello_16(at + 2, NET_HELLO - 9), 0x0303);
    memset(at, 7, 32);
    at[0] = (uint8_t)task;
    memcpy(at + 1, &count, sizeof(count));
    at[32] = 32;
    memset(at + 33, 8, 32);
    at += 65;
    memcpy(at, middle, sizeof(middle));
    at += sizeof(middle);
    hello_extensions(hello_16(at, (size_t)(end - at) - 2), end, name);
}

enum net_task net_hello_task(const uint8_t *hello, uint64_t *count)
{
    memcpy(count, hello + HELLO_RANDOM + 1, sizeof(*count));
    return hello[HELLO_RANDOM];
}
