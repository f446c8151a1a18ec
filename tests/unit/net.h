/* What the tests of src/proxy need of sockets: listeners on loopback, connected pairs, a network of one's own, a loop that runs until a flag is
 * set. */
#ifndef EXEAT_TESTS_NET_H
#define EXEAT_TESTS_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "proxy/loop.h"

/* Reads an address; a bad one fails the test. */
struct address net_address(const char *text);

/* A listener on a port of the kernel's choice, non-blocking. */
int net_listen(const char *ip, struct endpoint *at);

/* A port that answers with RST, held by the descriptor as long as that is open. */
int net_refuse(const char *ip, struct endpoint *at);

/* A listener whose queue is full, so that it never answers: *filler is what fills it. */
int net_silent(const char *ip, struct endpoint *at, int *filler);

/* The next connection of a listener (waits for it), and who made it. */
int net_accept(int listener, struct endpoint *from);

/* Two connected non-blocking sockets: TCP over 127.0.0.1, without Nagle. */
void net_tcp_pair(int pair[2]);

/* The same of AF_UNIX. */
void net_unix_pair(int pair[2]);

/* Closes with RST. */
void net_reset(int fd);

/* Puts this test's process into a network of its own, with lo up. False, said loudly, where the system does not allow it. */
bool net_own_network(void);

/* In such a network: takes lo up or down, and writes /proc/sys/net/NAME. */
void net_set_lo(bool up);
void net_set_sysctl(const char *name, const char *value);

/* How many descriptors this process holds. */
size_t net_descriptors(void);

/* Runs the loop until *flag, at most so long; returns *flag. NULL: for just so long. */
bool net_run(struct loop *loop, const bool *flag, unsigned limit_ms);

/* Milliseconds, for measuring. */
uint64_t net_now_ms(void);

/* The value of a socket's option. */
int net_option(int fd, int level, int name);

#endif
