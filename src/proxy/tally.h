/* What is counted: sessions, tunnels, bytes, rules, times. A worker's own counts, a copy, and the sum over all workers are of this one kind. */
#ifndef EXEAT_PROXY_TALLY_H
#define EXEAT_PROXY_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/distinct.h"
#include "base/name_table.h"
#include "policy/policy.h"

#define TALLY_VERDICTS (VERDICT_OBSERVE + 1)

/* Rows of a table at most: names come from the configuration, and reloads may bring others. */
#define TALLY_NAMES_MAX 10000

/* Upper bounds of a histogram's buckets. */
#define TALLY_BUCKETS 13
extern const uint32_t TALLY_BOUND_MS[TALLY_BUCKETS];

struct tally_times {
    uint64_t buckets[TALLY_BUCKETS + 1]; /* each by itself, the last one above all bounds */
    uint64_t sum_ms;
};

struct tally_listener {
    struct name_row row;
    uint64_t sessions[TALLY_VERDICTS][REASON_COUNT];
};

struct tally_route {
    struct name_row row;
    uint64_t open;                 /* tunnels */
    uint64_t bytes_up, bytes_down; /* of those that are over, and in a survey of those that are open, too */
};

struct tally_source {
    struct name_row row; /* private: tally_source_route() */
    struct address address;
    uint64_t ports; /* in use */
};

struct tally_rule {
    struct name_row row;
    uint64_t hits, last_hit_us;
    uint64_t bytes_up, bytes_down; /* likewise */
    struct distinct clients;
};

struct tally {
    struct name_table listeners, routes, sources, rules;
    struct tally_times setup, dns, connect;
};

/* NULL: out of memory. */
struct tally *tally_new(void);
void tally_free(struct tally *tally);

/* Adds all of `from`. False: out of memory, and `into` is not whole. */
bool tally_add(struct tally *into, const struct tally *from);

void tally_rule_add(struct tally_rule *into, const struct tally_rule *from);

/* Takes away what was counted of it elsewhere, of all that only ever grows: not of what is open or in use at the moment. When and by whom a rule was
 * hit stays, since that adds up to the same however often it is added. */
void tally_subtract(struct tally *from, const struct tally *part);

/* Takes away what is only of the moment. */
void tally_settle(struct tally *tally);

/* One decision. What there is no memory for, or no row, is not counted (so for all here). */
void tally_decision(struct tally *tally, const char *listener, enum verdict_kind verdict, enum reason reason);

/* A rule matched. */
void tally_hit(struct tally *tally, const char *rule, const struct address *client, uint64_t now_us);

void tally_time(struct tally_times *times, uint64_t ms);

/* What a tunnel carried, by its route and by its rule (NULL: none). */
void tally_bytes(struct tally *tally, const char *route, const char *rule, uint64_t up, uint64_t down);

void tally_open(struct tally *tally, const char *route);
void tally_port(struct tally *tally, const char *route, const struct address *source, uint64_t ports);

const char *tally_source_route(const struct tally_source *source);

#endif
