/* The audit record by the Open Cybersecurity Schema Framework: connections as Network Activity, and what it has no attribute for as `unmapped`. */
#include "audit/audit_export_row.h"
#include "audit/audit_export_value.h"

#define OCSF_VERSION "\"1.5.0\""
#define OCSF_OTHER 99 /* as an activity: its name is ours */

static bool ocsf_number(struct text *out, unsigned number)
{
    text_add_number(out, number);
    return true;
}

static bool ocsf_activity(struct text *out, const struct audit_export *export)
{
    return ocsf_number(out, export->kind->activity);
}

static bool ocsf_activity_name(struct text *out, const struct audit_export *export)
{
    return export->kind->activity == OCSF_OTHER && audit_export_text(out, &export->values[AUDIT_KEY_EVENT]);
}

static bool ocsf_category(struct text *out, const struct audit_export *export)
{
    return ocsf_number(out, export->kind->class / 1000);
}

static bool ocsf_class(struct text *out, const struct audit_export *export)
{
    return ocsf_number(out, export->kind->class);
}

static bool ocsf_type(struct text *out, const struct audit_export *export)
{
    return ocsf_number(out, export->kind->class * 100 + export->kind->activity);
}

static bool ocsf_time(struct text *out, const struct audit_export *export)
{
    uint64_t ms;
    if (!audit_export_time_ms(&ms, export->record))
        return false;
    text_add_number(out, ms);
    return true;
}

static bool ocsf_severity(struct text *out, const struct audit_export *export)
{
    return ocsf_number(out, export->kind->severity);
}

static bool ocsf_status(struct text *out, const struct audit_export *export)
{
    return ocsf_number(out, export->kind->status);
}

static bool ocsf_action(struct text *out, const struct audit_export *export)
{
    return export->kind->action != 0 && ocsf_number(out, export->kind->action);
}

static bool ocsf_disposition(struct text *out, const struct audit_export *export)
{
    return export->kind->disposition != 0 && ocsf_number(out, export->kind->disposition);
}

/* An endpoint is one by its name or address; a port alone is none. */
static bool ocsf_port(struct text *out, const struct audit_export *export)
{
    static const enum audit_key ENDS[] = {AUDIT_KEY_HOST, AUDIT_KEY_UPSTREAM_IP, AUDIT_KEY_ORIGINAL_IP};
    const struct audit_value *port = &export->values[AUDIT_KEY_PORT];
    for (size_t i = 0; i < sizeof(ENDS) / sizeof(ENDS[0]) && port->kind == AUDIT_NUMBER; i++)
        if (export->values[ENDS[i]].kind == AUDIT_TEXT)
            return ocsf_number(out, (unsigned)port->number);
    return false;
}

/* The schema wants a version beside it, which a close does not repeat. */
static bool ocsf_sni_alone(struct text *out, const struct audit_export *export)
{
    return export->values[AUDIT_KEY_TLS_VERSION].kind == AUDIT_NULL && audit_export_text(out, &export->values[AUDIT_KEY_SNI]);
}

static bool ocsf_log_version(struct text *out, const struct audit_export *export)
{
    text_format(out, "\"%u\"", (unsigned)export->values[AUDIT_KEY_V].number);
    return true;
}

static bool ocsf_ja4(struct text *out, const struct audit_export *export)
{
    const struct audit_value *ja4 = &export->values[AUDIT_KEY_JA4];
    text_add(out, "[{\"type_id\":1,\"type\":\"JA4\",\"value\":");
    const bool is_known = audit_export_text(out, ja4);
    text_add(out, "}]");
    return is_known;
}

/* clang-format off */

/* Of every class. */
static const struct audit_export_row OCSF_COMMON[] = {
    EXPORT_CALL("activity_id", ocsf_activity),
    EXPORT_CALL("activity_name", ocsf_activity_name),
    EXPORT_CALL("category_uid", ocsf_category),
    EXPORT_CALL("class_uid", ocsf_class),
    EXPORT_CALL("type_uid", ocsf_type),
    EXPORT_CALL("time", ocsf_time),
    EXPORT_CALL("severity_id", ocsf_severity),
    EXPORT_CALL("status_id", ocsf_status),
    EXPORT_COPY("status_code", REASON),
    EXPORT_COPY("message", DETAIL),
    EXPORT_COPY("duration", DURATION_MS),
    EXPORT_END,
};

static const struct audit_export_row OCSF_METADATA[] = {
    EXPORT_WORD("version", OCSF_VERSION),
    EXPORT_OPEN("product"),
        EXPORT_WORD("name", "\"exeat\""),
        EXPORT_WORD("vendor_name", "\"exeat\""),
        EXPORT_COPY("uid", INSTANCE),
    EXPORT_CLOSE,
    EXPORT_WORD("log_name", "\"audit\""),
    EXPORT_CALL("log_version", ocsf_log_version),
    EXPORT_COPY("event_code", EVENT),
    EXPORT_CALL("uid", audit_export_uid),
    EXPORT_COPY("correlation_uid", ID),
    EXPORT_COPY("sequence", SEQ),
    EXPORT_COPY("original_time", TIME),
    EXPORT_END,
};

/* What no class has an attribute for. */
static const struct audit_export_row OCSF_UNMAPPED[] = {
    EXPORT_COPY("listener", LISTENER),
    EXPORT_COPY("mode", MODE),
    EXPORT_COPY("user_agent", USER_AGENT),
    EXPORT_COPY("alpn", ALPN),
    EXPORT_COPY("ech", ECH),
    EXPORT_COPY("original_ip", ORIGINAL_IP),
    EXPORT_COPY("verdict", VERDICT),
    EXPORT_COPY("class", CLASS),
    EXPORT_COPY("route", ROUTE),
    EXPORT_COPY("egress_public_ip", EGRESS_PUBLIC_IP),
    EXPORT_COPY("upstream_port", UPSTREAM_PORT),
    EXPORT_COPY("dns_ms", DNS_MS),
    EXPORT_COPY("connect_ms", CONNECT_MS),
    EXPORT_COPY("end", END),
    EXPORT_COPY("chain", CHAIN),
    EXPORT_END,
};

static const struct audit_export_row OCSF_NETWORK[] = {
    EXPORT_ROWS(OCSF_COMMON),
    EXPORT_CALL("action_id", ocsf_action),
    EXPORT_CALL("disposition_id", ocsf_disposition),
    EXPORT_OPEN("metadata"),
        EXPORT_ROWS(OCSF_METADATA),
        EXPORT_WORD("profiles", "[\"host\",\"network_proxy\",\"security_control\"]"),
    EXPORT_CLOSE,
    EXPORT_OPEN("actor"),
        EXPORT_OPEN("user"),
            EXPORT_COPY("name", CLIENT_USER),
        EXPORT_CLOSE,
    EXPORT_CLOSE,
    EXPORT_OPEN("src_endpoint"),
        EXPORT_COPY("ip", CLIENT_IP),
        EXPORT_COPY("port", CLIENT_PORT),
        EXPORT_COPY("zone", CLIENT_GROUP),
        EXPORT_OPEN("proxy_endpoint"),
            EXPORT_COPY("ip", PEER_IP),
        EXPORT_CLOSE,
    EXPORT_CLOSE,
    EXPORT_OPEN("dst_endpoint"),
        EXPORT_CALL("hostname", audit_export_name),
        EXPORT_CALL("ip", audit_export_address),
        EXPORT_CALL("port", ocsf_port),
    EXPORT_CLOSE,
    EXPORT_OPEN("proxy_endpoint"),
        EXPORT_COPY("name", INSTANCE),
        EXPORT_COPY("ip", EGRESS_IP),
        EXPORT_COPY_WHEN("port", EGRESS_PORT, EGRESS_IP),
    EXPORT_CLOSE,
    EXPORT_OPEN("connection_info"),
        EXPORT_COPY("uid", ID),
        EXPORT_WORD("direction_id", "2"),
        EXPORT_WORD("protocol_name", "\"tcp\""),
        EXPORT_WORD("protocol_num", "6"),
    EXPORT_CLOSE,
    EXPORT_OPEN("traffic"),
        EXPORT_COPY("bytes_out", BYTES_UP),
        EXPORT_COPY("bytes_in", BYTES_DOWN),
        EXPORT_CALL("bytes", audit_export_bytes),
    EXPORT_CLOSE,
    EXPORT_OPEN("tls"),
        EXPORT_COPY("version", TLS_VERSION),
        EXPORT_COPY_WHEN("sni", SNI, TLS_VERSION),
    EXPORT_CLOSE,
    EXPORT_CALL("ja4_fingerprint_list", ocsf_ja4),
    EXPORT_OPEN("firewall_rule"),
        EXPORT_COPY("name", RULE),
        EXPORT_COPY("uid", RULE_AT),
    EXPORT_CLOSE,
    EXPORT_OPEN("policy"),
        EXPORT_COPY("uid", POLICY),
    EXPORT_CLOSE,
    EXPORT_OPEN("unmapped"),
        EXPORT_CALL("sni", ocsf_sni_alone),
        EXPORT_ROWS(OCSF_UNMAPPED),
    EXPORT_CLOSE,
    EXPORT_END,
};

/* What only Network Activity has attributes for: keys that start, stop and their like do not know, and a probe in part. */
static const struct audit_export_row OCSF_REST[] = {
    EXPORT_OPEN("unmapped"),
        EXPORT_COPY("client_ip", CLIENT_IP),
        EXPORT_COPY("client_port", CLIENT_PORT),
        EXPORT_COPY("peer_ip", PEER_IP),
        EXPORT_COPY("client_group", CLIENT_GROUP),
        EXPORT_COPY("client_user", CLIENT_USER),
        EXPORT_COPY("host", HOST),
        EXPORT_COPY("port", PORT),
        EXPORT_COPY("sni", SNI),
        EXPORT_COPY("ja4", JA4),
        EXPORT_COPY("tls_version", TLS_VERSION),
        EXPORT_COPY("rule", RULE),
        EXPORT_COPY("rule_at", RULE_AT),
        EXPORT_COPY("policy", POLICY),
        EXPORT_COPY("egress_ip", EGRESS_IP),
        EXPORT_COPY("egress_port", EGRESS_PORT),
        EXPORT_COPY("upstream_ip", UPSTREAM_IP),
        EXPORT_COPY("bytes_up", BYTES_UP),
        EXPORT_COPY("bytes_down", BYTES_DOWN),
        EXPORT_ROWS(OCSF_UNMAPPED),
    EXPORT_CLOSE,
    EXPORT_END,
};

static const struct audit_export_row OCSF_BASE[] = {
    EXPORT_ROWS(OCSF_COMMON),
    EXPORT_OPEN("metadata"),
        EXPORT_ROWS(OCSF_METADATA),
    EXPORT_CLOSE,
    EXPORT_ROWS(OCSF_REST),
    EXPORT_END,
};

static const struct audit_export_row OCSF_LIFECYCLE[] = {
    EXPORT_ROWS(OCSF_COMMON),
    EXPORT_OPEN("metadata"),
        EXPORT_ROWS(OCSF_METADATA),
    EXPORT_CLOSE,
    EXPORT_OPEN("app"),
        EXPORT_WORD("name", "\"exeat\""),
        EXPORT_WORD("vendor_name", "\"exeat\""),
        EXPORT_COPY("uid", INSTANCE),
    EXPORT_CLOSE,
    EXPORT_ROWS(OCSF_REST),
    EXPORT_END,
};
/* clang-format on */

const struct audit_export_row *audit_export_ocsf_rows(const struct audit_export_kind *kind)
{
    switch (kind->class) {
    case OCSF_NETWORK_ACTIVITY:
        return OCSF_NETWORK;
    case OCSF_APPLICATION_LIFECYCLE:
        return OCSF_LIFECYCLE;
    default:
        return OCSF_BASE;
    }
}
