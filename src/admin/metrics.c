/* What /metrics says: the counts in Prometheus' text format (0.0.4). */
#include "admin/metrics.h"

#include <inttypes.h>
#include <string.h>

#ifndef PACKAGE_VERSION /* configure says it on the command line */
#define PACKAGE_VERSION "unversioned"
#endif

static void metrics_begin(FILE *to, const char *name, const char *type, const char *help)
{
    fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_put_label(FILE *to, const char *value)
{
    putc('"', to);
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"')
            putc('\\', to);
        if (*value == '\n')
            fputs("\\n", to);
        else
            putc(*value, to);
    }
    putc('"', to);
}

static void metrics_label(FILE *to, const char *before, const char *key, const char *value)
{
    fprintf(to, "%s%s=", before, key);
    metrics_put_label(to, value);
}

static void metrics_value(FILE *to, uint64_t value)
{
    fprintf(to, "%" PRIu64 "\n", value);
}

/* ---- sessions ---- */

static void metrics_session(FILE *to, const struct tally_listener *listener, enum verdict_kind verdict, enum reason reason)
{
    const struct reason_row *row = reason_row(reason);
    const char *class = verdict == VERDICT_ALLOW ? NULL : reason_class_text(row->class);
    metrics_label(to, "exeat_sessions_total{", "listener", listener->row.name);
    metrics_label(to, ",", "verdict", verdict_text(verdict));
    metrics_label(to, ",", "class", class != NULL ? class : "");
    metrics_label(to, ",", "reason", row->code);
    fputs("} ", to);
    metrics_value(to, listener->sessions[verdict][reason]);
}

static bool metrics_has_session(const struct tally_listener *listener, enum verdict_kind verdict, enum reason reason)
{
    return listener->sessions[verdict][reason] > 0 || (verdict == VERDICT_ALLOW && reason == REASON_RULE_ALLOW);
}

/* Most reasons never come: they are left out, so that a listener is a few lines and not a hundred. */
static void metrics_sessions(FILE *to, const struct tally *tally)
{
    metrics_begin(to, "exeat_sessions_total", "counter", "Connections that were decided on, by the keys of their audit record.");
    for (size_t i = 0; i < tally->listeners.count; i++) {
        const struct tally_listener *listener = (const struct tally_listener *)tally->listeners.rows[i];
        for (unsigned verdict = 0; verdict < TALLY_VERDICTS; verdict++)
            for (unsigned reason = 0; reason < REASON_COUNT; reason++)
                if (metrics_has_session(listener, (enum verdict_kind)verdict, (enum reason)reason))
                    metrics_session(to, listener, (enum verdict_kind)verdict, (enum reason)reason);
    }
}

/* ---- routes ---- */

static void metrics_routes_open(FILE *to, const struct tally *tally)
{
    metrics_begin(to, "exeat_tunnels_open", "gauge", "Tunnels that are open.");
    for (size_t i = 0; i < tally->routes.count; i++) {
        const struct tally_route *route = (const struct tally_route *)tally->routes.rows[i];
        metrics_label(to, "exeat_tunnels_open{", "route", route->row.name);
        fputs("} ", to);
        metrics_value(to, route->open);
    }
}

static void metrics_way(FILE *to, const struct tally_route *route, const char *way, uint64_t bytes)
{
    metrics_label(to, "exeat_bytes_total{", "route", route->row.name);
    metrics_label(to, ",", "way", way);
    fputs("} ", to);
    metrics_value(to, bytes);
}

static void metrics_routes_bytes(FILE *to, const struct tally *tally)
{
    metrics_begin(to, "exeat_bytes_total", "counter", "Bytes that went through tunnels, those that are still open included; up is from the client.");
    for (size_t i = 0; i < tally->routes.count; i++) {
        const struct tally_route *route = (const struct tally_route *)tally->routes.rows[i];
        metrics_way(to, route, "up", route->bytes_up);
        metrics_way(to, route, "down", route->bytes_down);
    }
}

static void metrics_ports(FILE *to, const struct tally *tally)
{
    metrics_begin(to, "exeat_egress_ports", "gauge", "Connections to origins, by the address they leave from: each holds a port of it.");
    for (size_t i = 0; i < tally->sources.count; i++) {
        const struct tally_source *source = (const struct tally_source *)tally->sources.rows[i];
        char text[ADDRESS_TEXT_MAX];
        metrics_label(to, "exeat_egress_ports{", "route", tally_source_route(source));
        metrics_label(to, ",", "source", address_text(&source->address, text));
        fputs("} ", to);
        metrics_value(to, source->ports);
    }
}

/* ---- times ---- */

static void metrics_times(FILE *to, const char *name, const char *help, const struct tally_times *times)
{
    uint64_t count = 0;
    metrics_begin(to, name, "histogram", help);
    for (unsigned i = 0; i < TALLY_BUCKETS; i++) {
        count += times->buckets[i];
        fprintf(to, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, TALLY_BOUND_MS[i] / 1000.0, count);
    }
    count += times->buckets[TALLY_BUCKETS];
    fprintf(to, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
    fprintf(to, "%s_sum %" PRIu64 ".%03u\n", name, times->sum_ms / 1000, (unsigned)(times->sum_ms % 1000));
    fprintf(to, "%s_count %" PRIu64 "\n", name, count);
}

/* ---- all ---- */

static void metrics_single(FILE *to, const char *name, const char *type, const char *help, uint64_t value)
{
    metrics_begin(to, name, type, help);
    fprintf(to, "%s %" PRIu64 "\n", name, value);
}

static void metrics_journal(FILE *to, const struct survey *whole)
{
    metrics_single(to, "exeat_journal_up", "gauge", "1 when the audit journal can be written, as seen by every worker.",
                   whole->journal_up == whole->workers);
    metrics_single(to, "exeat_journal_queue", "gauge", "Audit records that wait to be on file.", whole->journal_queue);
    metrics_single(to, "exeat_journal_records_total", "counter", "Audit records of the server's generations that are on file.", whole->journal_filed);
}

static void metrics_reloads(FILE *to, const struct server_reloads *reloads)
{
    metrics_begin(to, "exeat_reloads_total", "counter", "Configurations that were to take the place of the first one.");
    fprintf(to, "exeat_reloads_total{result=\"ok\"} %" PRIu64 "\n", reloads->taken);
    fprintf(to, "exeat_reloads_total{result=\"refused\"} %" PRIu64 "\n", reloads->refused);
}

static void metrics_quota_label(FILE *to, const char *name, const struct group *group, enum quota_way way)
{
    metrics_label(to, name, "group", group->name);
    metrics_label(to, ",", "way", way == QUOTA_UPLOAD ? "up" : "down");
    fputs("} ", to);
}

static void metrics_quota_left(FILE *to, struct quotas *quotas, const struct group *group, enum quota_way way, uint64_t now_ms)
{
    struct quota *quota = quotas_find(quotas, group->name);
    int64_t left;
    if (quota == NULL || !quota_left(quota, way, now_ms, &left))
        return;
    metrics_quota_label(to, "exeat_quota_left_bytes{", group, way);
    fprintf(to, "%" PRId64 "\n", left);
}

static void metrics_quota_size(FILE *to, const struct group *group, enum quota_way way)
{
    if (group->quotas[way].amount == 0)
        return;
    metrics_quota_label(to, "exeat_quota_bytes{", group, way);
    metrics_value(to, group->quotas[way].amount);
}

static void metrics_quotas(FILE *to, const struct policy *policy, struct quotas *quotas, uint64_t now_ms)
{
    metrics_begin(to, "exeat_quota_bytes", "gauge", "What the clients of a group may move before they must wait; up is from them.");
    for (size_t i = 0; i < policy_bounded_count(policy); i++)
        for (int way = 0; way < QUOTA_WAYS; way++)
            metrics_quota_size(to, policy_bounded_at(policy, i), (enum quota_way)way);
    metrics_begin(to, "exeat_quota_left_bytes", "gauge", "What of it is left now; no tunnel is opened for them unless it is above 0.");
    for (size_t i = 0; i < policy_bounded_count(policy); i++)
        for (int way = 0; way < QUOTA_WAYS; way++)
            metrics_quota_left(to, quotas, policy_bounded_at(policy, i), (enum quota_way)way, now_ms);
}

static void metrics_generations(FILE *to, const struct survey *whole)
{
    metrics_single(to, "exeat_generations", "gauge",
                   "Generations of the server that live: the one that serves, and those before that still have tunnels.",
                   1 + (uint64_t)whole->others);
    metrics_single(to, "exeat_generations_silent", "gauge",
                   "Of which did not answer: what is open there is left out, and counters say what they last did.", whole->silent);
}

static void metrics_complete(struct tally *tally, const struct config *config)
{
    for (size_t i = 0; i < config->listener_count; i++)
        name_table_row(&tally->listeners, config->listeners[i].name, strlen(config->listeners[i].name));
    for (size_t i = 0; i < policy_route_count(config->policy); i++)
        tally_bytes(tally, policy_route_at(config->policy, i)->name, NULL, 0, 0);
}

void metrics_write(FILE *to, struct survey *whole, const struct config *config, const struct server_reloads *reloads, struct quotas *quotas,
                   uint64_t now_ms)
{
    struct tally *tally = whole->tally;
    metrics_complete(tally, config);
    metrics_sessions(to, tally);
    metrics_routes_open(to, tally);
    metrics_routes_bytes(to, tally);
    metrics_times(to, "exeat_setup_seconds", "From accepting a client to its open tunnel, what the client itself took included.", &tally->setup);
    metrics_times(to, "exeat_dns_seconds", "Resolving a name, out of the cache too: dns_ms of the audit record.", &tally->dns);
    metrics_times(to, "exeat_connect_seconds", "Connecting to an origin: connect_ms of the audit record.", &tally->connect);
    metrics_ports(to, tally);
    metrics_quotas(to, config->policy, quotas, now_ms);
    metrics_journal(to, whole);
    metrics_generations(to, whole);
    metrics_reloads(to, reloads);
    metrics_single(to, "exeat_enforcing", "gauge", "0 when mode = observe lets out what the rules deny.",
                   policy_observe_route(config->policy) == NULL);
    metrics_begin(to, "exeat_build_info", "gauge", "Always 1; the version is its label.");
    metrics_label(to, "exeat_build_info{", "version", PACKAGE_VERSION);
    fputs("} 1\n", to);
}
