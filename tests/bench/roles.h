/* The roles of the load generator; each is a process of its own. */
#ifndef BENCH_ROLES_H
#define BENCH_ROLES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct options {
    struct sockaddr_in to; /* the proxy, or a floor's origin */
    const char *connect;   /* host:port to ask for; NULL: the hello goes first */
    const char *name;      /* of the hello */
    const char *load;      /* setup, reject, echo, down, up, idle */
    uint64_t count;        /* tunnels, messages, or bytes */
    unsigned parallel;
    uint64_t rate;    /* echo: messages a second, over all tunnels; 0: each as soon as the last is back */
    bool reject;      /* floor: read once, and close */
    bool sni;         /* floor: the hello comes first, and no CONNECT */
    bool splice;      /* floor: bytes go through a pipe */
    bool transparent; /* floor: takes what TPROXY brings */
};

/* Answers every hello with one byte, then does as the hello says. Prints its port; ends when it is killed. */
_Noreturn void origin_run(void);

/* A bare relay: the system calls of a tunnel and nothing else. Prints its port; ends when it is killed. */
_Noreturn void floor_run(const struct options *options);

/* Makes the load. Prints `ready` when what it needs is open, waits for a line, works, prints one JSON object, and, holding idle tunnels, waits for
 * one line more. Returns the exit code: 1 when anything failed. */
int client_run(const struct options *options);

#endif
