/* The normal form of a host: what CONNECT, an SNI, a pattern and DNS all mean by the same name. */
#ifndef EXEAT_POLICY_HOSTNAME_H
#define EXEAT_POLICY_HOSTNAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

#define HOSTNAME_MAX 253
#define HOSTNAME_SIZE (HOSTNAME_MAX + 1)

enum host_kind { HOST_BAD = 0, HOST_NAME, HOST_ADDRESS };

struct host {
    uint8_t kind;             /* enum host_kind */
    char name[HOSTNAME_SIZE]; /* HOST_NAME: lower case, no trailing dot. HOST_ADDRESS: the canonical text without brackets. HOST_BAD: "" */
    struct address address;   /* HOST_ADDRESS only */
};

/* Reads a host as a peer wrote it, without port and brackets; `bracketed` says that brackets stood around it (RFC 3986 3.2.2: then it must be an
 * IPv6 address; without them it must not be one). Names: letters, digits, `-`, `_`; labels of 1 to 63, at most 253 in all, one trailing dot taken
 * off. What some resolver would read as an address (last label numeric or 0x…, RFC 3986 / WHATWG forms such as 010.1, 0x7f.1, 2130706433) is
 * HOST_BAD. *out is always written; returns its kind. */
enum host_kind host_read(struct host *out, const char *text, size_t len, bool bracketed);

/* The same for a name alone (an SNI, a line of a hosts file): true and the normal form, or false and "". An address is not a name. */
bool hostname_read(char out[HOSTNAME_SIZE], const char *text, size_t len);

#endif
