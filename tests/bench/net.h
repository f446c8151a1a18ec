/* What origin, floor and clients share: sockets on IPv4, one epoll loop, and the ClientHello that every tunnel begins with. */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NET_BUFFER 65536
#define NET_HELLO 517 /* what browsers and many tools pad theirs to */

/* What the origin is to do with a tunnel. The hello says it, in the bytes that TLS calls random. */
enum net_task {
    TASK_ANSWER = 'a', /* nothing more than the one byte with which every hello is answered */
    TASK_ECHO = 'e',
    TASK_SOURCE = 's', /* send so many bytes, once one byte came */
    TASK_SINK = 'k',   /* take so many bytes, then answer with one */
};

/* One descriptor in the loop. `ready` may free neither its watch nor any other: that is for net_bury. */
struct watch {
    void (*ready)(struct watch *watch, uint32_t events);
    int fd;
};

extern uint8_t net_scratch[NET_BUFFER];

_Noreturn void net_fail(const char *what); /* with errno's words */

bool net_address(struct sockaddr_in *address, const char *text); /* 127.0.0.1:8080 */

/* Listens on a port of 127.0.0.1 that the kernel picks, and prints it. */
int net_listen(bool transparent);

/* Starts to connect; without blocking, so that success is seen when it is writable. */
int net_connect(const struct sockaddr_in *to);

/* Takes up to a megabyte without even copying it out of the kernel; as recv(2). */
ssize_t net_swallow(int fd);

void net_watch(struct watch *watch, uint32_t events);
void net_rewatch(struct watch *watch, uint32_t events);

/* Frees `gone` when the loop's turn ends. */
void net_bury(void *gone);

/* One turn: waits for events and hands them out. False: `patience_ms` (-1: for ever) passed without one. */
bool net_turn(int patience_ms);

/* Writes a ClientHello with this server name, NET_HELLO bytes. */
void net_hello(uint8_t *hello, const char *name, enum net_task task, uint64_t count);

/* What it says; only of a hello that is whole. */
enum net_task net_hello_task(const uint8_t *hello, uint64_t *count);

#endif
