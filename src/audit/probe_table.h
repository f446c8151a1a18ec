/* Connections that ended without a byte, counted by where they came from, on all workers together. */
#ifndef EXEAT_AUDIT_PROBE_TABLE_H
#define EXEAT_AUDIT_PROBE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

#define PROBE_SOURCES_MAX 1024

struct probe_source {
    char listener[41], mode[16]; /* "" for the null source: those that found the table full */
    struct address client_ip, peer_ip;
    uint64_t count;
};

struct probe_table;

/* NULL when out of memory. */
struct probe_table *probe_table_new(void);
void probe_table_free(struct probe_table *table);

/* From any thread. `peer_ip`: of the load balancer; not set without one. True: it is the first since the table was empty. */
bool probe_table_count(struct probe_table *table, const char *listener, const char *mode, const struct address *client_ip,
                       const struct address *peer_ip);

/* From any thread: gives each source once, the null source last, and begins anew. `take` may not come back to the table. */
void probe_table_drain(struct probe_table *table, void (*take)(void *arg, const struct probe_source *source), void *arg);

#endif
