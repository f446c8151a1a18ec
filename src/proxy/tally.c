/* What is counted: sessions, tunnels, bytes, rules, times. A worker's own counts, a copy, and the sum over all workers are of this one kind. */
#include "proxy/tally.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

const uint32_t TALLY_BOUND_MS[TALLY_BUCKETS] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000};

/* A source's name is its address and then its route's name. */
#define SOURCE_NAME_SIZE (sizeof(struct address) + 256)

struct tally *tally_new(void)
{
    struct tally *tally = calloc(1, sizeof(*tally));
    if (tally == NULL)
        return NULL;
    tally->listeners = (struct name_table){.row_size = sizeof(struct tally_listener), .max = TALLY_NAMES_MAX};
    tally->routes = (struct name_table){.row_size = sizeof(struct tally_route), .max = TALLY_NAMES_MAX};
    tally->sources = (struct name_table){.row_size = sizeof(struct tally_source), .max = TALLY_NAMES_MAX};
    tally->rules = (struct name_table){.row_size = sizeof(struct tally_rule), .max = TALLY_NAMES_MAX};
    return tally;
}

void tally_free(struct tally *tally)
{
    if (tally == NULL)
        return;
    name_table_fini(&tally->listeners);
    name_table_fini(&tally->routes);
    name_table_fini(&tally->sources);
    name_table_fini(&tally->rules);
    free(tally);
}

/* ---- counting ---- */

void tally_decision(struct tally *tally, const char *listener, enum verdict_kind verdict, enum reason reason)
{
    struct tally_listener *row = name_table_row(&tally->listeners, listener, strlen(listener));
    if (row != NULL)
        row->sessions[verdict][reason]++;
}

void tally_hit(struct tally *tally, const char *rule, const struct address *client, uint64_t now_us)
{
    struct tally_rule *row = name_table_row(&tally->rules, rule, strlen(rule));
    if (row == NULL)
        return;
    row->hits++;
    row->last_hit_us = now_us;
    distinct_add(&row->clients, hash_bytes(client, sizeof(*client), 0));
}

void tally_time(struct tally_times *times, uint64_t ms)
{
    unsigned bucket = 0;
    while (bucket < TALLY_BUCKETS && ms > TALLY_BOUND_MS[bucket])
        bucket++;
    times->buckets[bucket]++;
    times->sum_ms += ms;
}

void tally_bytes(struct tally *tally, const char *route, const char *rule, uint64_t up, uint64_t down)
{
    struct tally_route *way = name_table_row(&tally->routes, route, strlen(route));
    struct tally_rule *row = rule != NULL ? name_table_row(&tally->rules, rule, strlen(rule)) : NULL;
    if (way != NULL) {
        way->bytes_up += up;
        way->bytes_down += down;
    }
    if (row != NULL) {
        row->bytes_up += up;
        row->bytes_down += down;
    }
}

void tally_open(struct tally *tally, const char *route)
{
    struct tally_route *row = name_table_row(&tally->routes, route, strlen(route));
    if (row != NULL)
        row->open++;
}

void tally_port(struct tally *tally, const char *route, const struct address *source, uint64_t ports)
{
    char name[SOURCE_NAME_SIZE];
    const size_t len = strnlen(route, sizeof(name) - sizeof(*source));
    memcpy(name, source, sizeof(*source));
    memcpy(name + sizeof(*source), route, len);
    struct tally_source *row = name_table_row(&tally->sources, name, sizeof(*source) + len);
    if (row == NULL)
        return;
    row->address = *source;
    row->ports += ports;
}

const char *tally_source_route(const struct tally_source *source)
{
    return source->row.name + sizeof(struct address);
}

/* ---- adding up ---- */

static bool tally_add_listeners(struct name_table *into, const struct name_table *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct tally_listener *row = (const struct tally_listener *)from->rows[i];
        struct tally_listener *sum = name_table_row(into, row->row.name, row->row.len);
        if (sum == NULL)
            return false;
        for (size_t verdict = 0; verdict < TALLY_VERDICTS; verdict++)
            for (size_t reason = 0; reason < REASON_COUNT; reason++)
                sum->sessions[verdict][reason] += row->sessions[verdict][reason];
    }
    return true;
}

static bool tally_add_routes(struct name_table *into, const struct name_table *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct tally_route *row = (const struct tally_route *)from->rows[i];
        struct tally_route *sum = name_table_row(into, row->row.name, row->row.len);
        if (sum == NULL)
            return false;
        sum->open += row->open;
        sum->bytes_up += row->bytes_up;
        sum->bytes_down += row->bytes_down;
    }
    return true;
}

static bool tally_add_sources(struct name_table *into, const struct name_table *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct tally_source *row = (const struct tally_source *)from->rows[i];
        struct tally_source *sum = name_table_row(into, row->row.name, row->row.len);
        if (sum == NULL)
            return false;
        sum->address = row->address;
        sum->ports += row->ports;
    }
    return true;
}

void tally_rule_add(struct tally_rule *into, const struct tally_rule *from)
{
    into->hits += from->hits;
    into->last_hit_us = from->last_hit_us > into->last_hit_us ? from->last_hit_us : into->last_hit_us;
    into->bytes_up += from->bytes_up;
    into->bytes_down += from->bytes_down;
    distinct_merge(&into->clients, &from->clients);
}

static bool tally_add_rules(struct name_table *into, const struct name_table *from)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct tally_rule *row = (const struct tally_rule *)from->rows[i];
        struct tally_rule *sum = name_table_row(into, row->row.name, row->row.len);
        if (sum == NULL)
            return false;
        tally_rule_add(sum, row);
    }
    return true;
}

static void tally_add_times(struct tally_times *into, const struct tally_times *from)
{
    for (size_t i = 0; i <= TALLY_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
    into->sum_ms += from->sum_ms;
}

bool tally_add(struct tally *into, const struct tally *from)
{
    tally_add_times(&into->setup, &from->setup);
    tally_add_times(&into->dns, &from->dns);
    tally_add_times(&into->connect, &from->connect);
    return tally_add_listeners(&into->listeners, &from->listeners) && tally_add_routes(&into->routes, &from->routes) &&
           tally_add_sources(&into->sources, &from->sources) && tally_add_rules(&into->rules, &from->rules);
}

/* ---- what is left of it ---- */

/* A part that is larger than the whole leaves nothing. */
static void tally_less(uint64_t *from, uint64_t part)
{
    *from = *from > part ? *from - part : 0;
}

static void tally_subtract_listeners(struct name_table *from, const struct name_table *part)
{
    for (size_t i = 0; i < part->count; i++) {
        const struct tally_listener *row = (const struct tally_listener *)part->rows[i];
        struct tally_listener *rest = name_table_find(from, row->row.name, row->row.len);
        if (rest == NULL)
            continue;
        for (size_t verdict = 0; verdict < TALLY_VERDICTS; verdict++)
            for (size_t reason = 0; reason < REASON_COUNT; reason++)
                tally_less(&rest->sessions[verdict][reason], row->sessions[verdict][reason]);
    }
}

static void tally_subtract_routes(struct name_table *from, const struct name_table *part)
{
    for (size_t i = 0; i < part->count; i++) {
        const struct tally_route *row = (const struct tally_route *)part->rows[i];
        struct tally_route *rest = name_table_find(from, row->row.name, row->row.len);
        if (rest == NULL)
            continue;
        tally_less(&rest->bytes_up, row->bytes_up);
        tally_less(&rest->bytes_down, row->bytes_down);
    }
}

static void tally_subtract_rules(struct name_table *from, const struct name_table *part)
{
    for (size_t i = 0; i < part->count; i++) {
        const struct tally_rule *row = (const struct tally_rule *)part->rows[i];
        struct tally_rule *rest = name_table_find(from, row->row.name, row->row.len);
        if (rest == NULL)
            continue;
        tally_less(&rest->hits, row->hits);
        tally_less(&rest->bytes_up, row->bytes_up);
        tally_less(&rest->bytes_down, row->bytes_down);
    }
}

static void tally_subtract_times(struct tally_times *from, const struct tally_times *part)
{
    for (size_t i = 0; i <= TALLY_BUCKETS; i++)
        tally_less(&from->buckets[i], part->buckets[i]);
    tally_less(&from->sum_ms, part->sum_ms);
}

void tally_subtract(struct tally *from, const struct tally *part)
{
    tally_subtract_times(&from->setup, &part->setup);
    tally_subtract_times(&from->dns, &part->dns);
    tally_subtract_times(&from->connect, &part->connect);
    tally_subtract_listeners(&from->listeners, &part->listeners);
    tally_subtract_routes(&from->routes, &part->routes);
    tally_subtract_rules(&from->rules, &part->rules);
}

void tally_settle(struct tally *tally)
{
    name_table_fini(&tally->sources);
    for (size_t i = 0; i < tally->routes.count; i++)
        ((struct tally_route *)tally->routes.rows[i])->open = 0;
}
