/* Connections that ended without a byte, counted by where they came from. */
#ifndef EXEAT_AUDIT_PROBE_TABLE_H
#define EXEAT_AUDIT_PROBE_TABLE_H

#include <stddef.h>
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

/* `peer_ip`: of the load balancer; not set without one. */
void probe_table_count(struct probe_table *table, const char *listener, const char *mode, const struct address *client_ip,
                       const struct address *peer_ip);

/* How many sources there are, the null source among them (it comes last), and each of them. */
size_t probe_table_size(const struct probe_table *table);
const struct probe_source *probe_table_at(const struct probe_table *table, size_t index);

void probe_table_clear(struct probe_table *table);

#endif
