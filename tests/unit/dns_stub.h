/* A DNS server on a loopback address, by UDP and TCP, that says what a test tells it and keeps count of what it was asked. */
#ifndef EXEAT_TESTS_DNS_STUB_H
#define EXEAT_TESTS_DNS_STUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

#define STUB_A 1
#define STUB_AAAA 28
#define STUB_FORGED "203.0.113.66" /* the address in forged answers */

enum dns_stub_act {
    STUB_ANSWER = 0,
    STUB_DROP,
    STUB_HOLD,     /* until dns_stub_release */
    STUB_LOSE,     /* dropped until then */
    STUB_TRUNCATE, /* by UDP; whole by TCP, or there too with its rcode */
    STUB_FORGE_ID, /* forged answers come before the true one */
    STUB_FORGE_QUESTION,
    STUB_FORGE_PORT,
    STUB_EMPTY_FIRST, /* an empty datagram before the true answer */
    STUB_CUT_SHORT,   /* says that there is a record, which is missing */
    STUB_ECHO,        /* the question itself */
};

/* What is answered to questions for `name` (and `type`, 0: both). What is not in the script has no data. */
struct dns_stub_reply {
    const char *name;
    int type;
    enum dns_stub_act act;
    int rcode;
    uint32_t ttl;
    const char *cname; /* or NULL: the addresses are this name's */
    uint32_t cname_ttl;
    const char *addresses; /* of any family, between blanks; those of the question's type are answered */
    unsigned more;         /* so many made-up addresses more */
};

struct dns_stub;

/* Starts its thread; `script` ends in a zeroed row and must live as long. The address is "127.0.0.1" or another that this host has; port 0: a free
 * one. */
struct dns_stub *dns_stub_start(const char *address, uint16_t port, const struct dns_stub_reply *script);
void dns_stub_stop(struct dns_stub *stub);

struct endpoint dns_stub_endpoint(const struct dns_stub *stub);

/* Answers what was held, now and from now on, and loses no more. */
void dns_stub_release(struct dns_stub *stub);

/* Questions so far by UDP or TCP; NULL: any name, 0: any type. */
unsigned dns_stub_asked(struct dns_stub *stub, const char *name, int type);
unsigned dns_stub_asked_tcp(struct dns_stub *stub);

/* How many different questions they were, going by their ids: a retry has the same. */
unsigned dns_stub_different(struct dns_stub *stub, const char *name, int type);

/* Waits (at most 5 s) until it has been asked so often; false: it was not. */
bool dns_stub_wait(struct dns_stub *stub, const char *name, int type, unsigned asked);

/* From how many ports, and the most different questions from one. */
unsigned dns_stub_ports(struct dns_stub *stub);
unsigned dns_stub_port_most(struct dns_stub *stub);

/* Who asked last. */
struct address dns_stub_client(struct dns_stub *stub);

#endif
