/* The audit record by the Elastic Common Schema: its own fields, and below `exeat` what it has none for. */
#include <string.h>

#include "audit/audit_export_row.h"
#include "audit/audit_export_value.h"

#define ECS_VERSION "\"8.17.0\""
#define MS_NS UINT64_C(1000000)

static bool ecs_word(struct text *out, const char *json)
{
    if (json != NULL)
        text_add(out, json);
    return json != NULL;
}

static bool ecs_category(struct text *out, const struct audit_export *export)
{
    return ecs_word(out, export->kind->category);
}

static bool ecs_type(struct text *out, const struct audit_export *export)
{
    return ecs_word(out, export->kind->type);
}

static bool ecs_outcome(struct text *out, const struct audit_export *export)
{
    return ecs_word(out, export->kind->outcome);
}

/* What exeat did: of a decision the verdict. */
static bool ecs_action(struct text *out, const struct audit_export *export)
{
    const enum audit_key key = export->record->event == EVENT_DECISION ? AUDIT_KEY_VERDICT : AUDIT_KEY_EVENT;
    return audit_export_text(out, &export->values[key]);
}

static bool ecs_duration(struct text *out, const struct audit_export *export)
{
    const struct audit_value *duration = &export->values[AUDIT_KEY_DURATION_MS];
    if (duration->kind == AUDIT_NULL)
        return false;
    audit_export_number(out, duration->number < INT64_MAX / MS_NS ? duration->number * MS_NS : INT64_MAX);
    return true;
}

/* "TLS 1.3" is two fields; a version without a name stands in the first as it is. */
static bool ecs_tls_version(struct text *out, const struct audit_export *export)
{
    struct audit_value version = export->values[AUDIT_KEY_TLS_VERSION];
    const char *blank = version.kind == AUDIT_TEXT ? memchr(version.at, ' ', version.len) : NULL;
    if (blank != NULL) {
        version.len -= (size_t)(blank + 1 - version.at);
        version.at = blank + 1;
    }
    return audit_export_text(out, &version);
}

static bool ecs_tls_protocol(struct text *out, const struct audit_export *export)
{
    const struct audit_value *version = &export->values[AUDIT_KEY_TLS_VERSION];
    const bool has_name = version->kind == AUDIT_TEXT && version->len > 4;
    if (has_name && memcmp(version->at, "TLS ", 4) == 0)
        return ecs_word(out, "\"tls\"");
    return has_name && memcmp(version->at, "SSL ", 4) == 0 && ecs_word(out, "\"ssl\"");
}

/* clang-format off */
const struct audit_export_row AUDIT_EXPORT_ECS_ROWS[] = {
    EXPORT_COPY("@timestamp", TIME),
    EXPORT_COPY("message", DETAIL),
    EXPORT_OPEN("ecs"),
        EXPORT_WORD("version", ECS_VERSION),
    EXPORT_CLOSE,
    EXPORT_OPEN("event"),
        EXPORT_WORD("kind", "\"event\""),
        EXPORT_CALL("category", ecs_category),
        EXPORT_CALL("type", ecs_type),
        EXPORT_CALL("action", ecs_action),
        EXPORT_CALL("outcome", ecs_outcome),
        EXPORT_COPY("reason", REASON),
        EXPORT_COPY("code", EVENT),
        EXPORT_CALL("id", audit_export_uid),
        EXPORT_COPY("sequence", SEQ),
        EXPORT_CALL("duration", ecs_duration),
        EXPORT_WORD("module", "\"exeat\""),
        EXPORT_WORD("dataset", "\"exeat.audit\""),
        EXPORT_COPY("hash", CHAIN),
    EXPORT_CLOSE,
    EXPORT_OPEN("observer"),
        EXPORT_COPY("name", INSTANCE),
        EXPORT_WORD("type", "\"proxy\""),
        EXPORT_WORD("vendor", "\"exeat\""),
        EXPORT_WORD("product", "\"exeat\""),
        EXPORT_OPEN("ingress"),
            EXPORT_COPY("zone", CLIENT_GROUP),
            EXPORT_OPEN("interface"),
                EXPORT_COPY("alias", LISTENER),
            EXPORT_CLOSE,
        EXPORT_CLOSE,
        EXPORT_OPEN("egress"),
            EXPORT_OPEN("interface"),
                EXPORT_COPY("alias", ROUTE),
            EXPORT_CLOSE,
        EXPORT_CLOSE,
    EXPORT_CLOSE,
    EXPORT_OPEN("source"),
        EXPORT_COPY("ip", CLIENT_IP),
        EXPORT_COPY("port", CLIENT_PORT),
        EXPORT_COPY("bytes", BYTES_UP),
        EXPORT_OPEN("nat"),
            EXPORT_COPY("ip", EGRESS_IP),
            EXPORT_COPY("port", EGRESS_PORT),
        EXPORT_CLOSE,
    EXPORT_CLOSE,
    EXPORT_OPEN("user"),
        EXPORT_COPY("name", CLIENT_USER),
    EXPORT_CLOSE,
    EXPORT_OPEN("user_agent"),
        EXPORT_COPY("original", USER_AGENT),
    EXPORT_CLOSE,
    EXPORT_OPEN("destination"),
        EXPORT_COPY("address", HOST),
        EXPORT_CALL("domain", audit_export_name),
        EXPORT_CALL("ip", audit_export_address),
        EXPORT_COPY("port", PORT),
        EXPORT_COPY("bytes", BYTES_DOWN),
    EXPORT_CLOSE,
    EXPORT_OPEN("network"),
        EXPORT_WORD_WHEN("transport", "\"tcp\"", CLIENT_IP),
        EXPORT_WORD_WHEN("protocol", "\"tls\"", TLS_VERSION),
        EXPORT_WORD_WHEN("direction", "\"outbound\"", CLIENT_IP),
        EXPORT_CALL("bytes", audit_export_bytes),
    EXPORT_CLOSE,
    EXPORT_OPEN("tls"),
        EXPORT_CALL("version", ecs_tls_version),
        EXPORT_CALL("version_protocol", ecs_tls_protocol),
        EXPORT_OPEN("client"),
            EXPORT_COPY("server_name", SNI),
        EXPORT_CLOSE,
    EXPORT_CLOSE,
    EXPORT_OPEN("rule"),
        EXPORT_COPY("name", RULE),
        EXPORT_COPY("id", RULE_AT),
        EXPORT_COPY("ruleset", POLICY),
    EXPORT_CLOSE,
    EXPORT_OPEN("exeat"),
        EXPORT_COPY("v", V),
        EXPORT_COPY("id", ID),
        EXPORT_COPY("mode", MODE),
        EXPORT_COPY("peer_ip", PEER_IP),
        EXPORT_COPY("alpn", ALPN),
        EXPORT_COPY("ja4", JA4),
        EXPORT_COPY("ech", ECH),
        EXPORT_COPY("original_ip", ORIGINAL_IP),
        EXPORT_COPY("verdict", VERDICT),
        EXPORT_COPY("class", CLASS),
        EXPORT_COPY("egress_public_ip", EGRESS_PUBLIC_IP),
        EXPORT_COPY("upstream_port", UPSTREAM_PORT),
        EXPORT_COPY("dns_ms", DNS_MS),
        EXPORT_COPY("connect_ms", CONNECT_MS),
        EXPORT_COPY("end", END),
    EXPORT_CLOSE,
    EXPORT_END,
};
/* clang-format on */
