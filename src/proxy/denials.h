/* What each client was denied lately, for `GET /denials`: where curl or git print only a number, a build can ask why. */
#ifndef EXEAT_PROXY_DENIALS_H
#define EXEAT_PROXY_DENIALS_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/text.h"

#define DENIALS_PER_CLIENT 50
#define DENIALS_AGE_S (15 * 60)
#define DENIALS_HOST_MAX 254 /* a byte more than is shown of it, so that a cut shows too */

/* Clients are spread over this many rings, so that one who hammers flushes only the few that share its ring. */
#define DENIALS_RINGS 128
#define DENIALS_A_RING 64

struct denial {
    uint64_t time_us;
    struct address client;
    char id[27];
    size_t host_len;
    char host[DENIALS_HOST_MAX]; /* any bytes, cut; host_len 0: none */
    uint16_t port;
    const char *reason; /* static */
    char rule[41];      /* "" none */
};

struct denials;

/* One store for all workers; a lock inside, held for a few instructions and only on denials. */
struct denials *denials_new(void);
void denials_free(struct denials *denials);

void denials_add(struct denials *denials, const struct denial *denial);

/* Room for the answer of one client. */
#define DENIALS_JSON_MAX (DENIALS_PER_CLIENT * 2048 + 64)

/* Writes {"denials":[…]}: the client's own, newest first, at most DENIALS_PER_CLIENT, none older than DENIALS_AGE_S. */
void denials_write(struct denials *denials, struct text *out, const struct address *client, uint64_t now_us);

#endif
