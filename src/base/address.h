/* One IP address, or one with a port: the only address type of the house. */
#ifndef EXEAT_BASE_ADDRESS_H
#define EXEAT_BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sockaddr;
struct sockaddr_storage;

enum family { FAMILY_NONE = 0, FAMILY_V4 = 4, FAMILY_V6 = 6 };

/* A zeroed one is "no address" and equals nothing that a peer can have. `bytes` is in network order; IPv4 uses the first four, the rest is zero. */
struct address {
    uint8_t family; /* enum family */
    uint8_t bytes[16];
};

struct endpoint {
    struct address ip;
    uint16_t port; /* host order */
};

#define ADDRESS_TEXT_MAX 46
#define ENDPOINT_TEXT_MAX 54

/* Reads exactly what inet_pton(3) reads: a dotted quad or RFC 4291 text, no brackets, no zone, no blanks. False leaves *out zeroed. */
bool address_read(struct address *out, const char *text, size_t len);

/* Reads `1.2.3.4:80` or `[::1]:80`; the port is 0 to 65535. False leaves *out zeroed. */
bool endpoint_read(struct endpoint *out, const char *text, size_t len);

/* Write the canonical text (RFC 5952) into `buf` and return it. "no address" is written as "-". */
const char *address_text(const struct address *address, char buf[ADDRESS_TEXT_MAX]);
const char *endpoint_text(const struct endpoint *endpoint, char buf[ENDPOINT_TEXT_MAX]);

bool address_is_set(const struct address *address);
bool address_equal(const struct address *a, const struct address *b);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);

/* IPv4 before IPv6, then by bytes: <0, 0, >0. */
int address_compare(const struct address *a, const struct address *b);

/* 4 or 16; 0 for "no address". */
size_t address_size(const struct address *address);

/* For ::ffff:a.b.c.d (RFC 4291 2.5.5.2) puts a.b.c.d into *v4 and returns true. */
bool address_unmap(struct address *v4, const struct address *address);

/* True for 0.0.0.0 and ::. */
bool address_is_any(const struct address *address);

/* Fills *out and returns its length for bind(2) or connect(2); 0 for "no address". */
size_t endpoint_to_sockaddr(const struct endpoint *endpoint, struct sockaddr_storage *out);

/* Reads what accept(2) or getsockname(2) gave; a v4-mapped peer becomes plain IPv4. False for other families. */
bool endpoint_from_sockaddr(struct endpoint *out, const struct sockaddr *from, size_t len);

#endif
