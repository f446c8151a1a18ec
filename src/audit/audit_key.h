/* The keys of a record (exeat-audit(5)), in their order: what the one writer and the one reader of the schema both go by. */
#ifndef EXEAT_AUDIT_AUDIT_KEY_H
#define EXEAT_AUDIT_AUDIT_KEY_H

#include <stddef.h>

/*   symbol, key, what its value is unless null */
/* clang-format off */
#define AUDIT_KEY_TABLE(X)                                                                                                                          \
    X(V, "v", NUMBER) X(SEQ, "seq", NUMBER) X(TIME, "time", TEXT) X(INSTANCE, "instance", TEXT) X(EVENT, "event", TEXT) X(ID, "id", TEXT)           \
    X(LISTENER, "listener", TEXT) X(MODE, "mode", TEXT) X(CLIENT_IP, "client_ip", TEXT) X(CLIENT_PORT, "client_port", NUMBER)                       \
    X(PEER_IP, "peer_ip", TEXT) X(CLIENT_GROUP, "client_group", TEXT) X(CLIENT_USER, "client_user", TEXT) X(USER_AGENT, "user_agent", TEXT)         \
    X(HOST, "host", TEXT) X(PORT, "port", NUMBER) X(SNI, "sni", TEXT) X(ALPN, "alpn", LIST) X(JA4, "ja4", TEXT) X(ECH, "ech", FLAG)                 \
    X(TLS_VERSION, "tls_version", TEXT) X(ORIGINAL_IP, "original_ip", TEXT)                                                                         \
    X(VERDICT, "verdict", TEXT) X(CLASS, "class", TEXT) X(REASON, "reason", TEXT) X(RULE, "rule", TEXT) X(RULE_AT, "rule_at", TEXT)                 \
    X(POLICY, "policy", TEXT) X(ROUTE, "route", TEXT) X(EGRESS_IP, "egress_ip", TEXT) X(EGRESS_PUBLIC_IP, "egress_public_ip", TEXT)                 \
    X(EGRESS_PORT, "egress_port", NUMBER) X(UPSTREAM_IP, "upstream_ip", TEXT) X(UPSTREAM_PORT, "upstream_port", NUMBER)                             \
    X(DNS_MS, "dns_ms", NUMBER) X(CONNECT_MS, "connect_ms", NUMBER) X(BYTES_UP, "bytes_up", NUMBER) X(BYTES_DOWN, "bytes_down", NUMBER)             \
    X(DURATION_MS, "duration_ms", NUMBER) X(END, "end", TEXT) X(DETAIL, "detail", TEXT) X(CHAIN, "chain", TEXT)

enum audit_key {
#define X(symbol, key, kind) AUDIT_KEY_##symbol,
    AUDIT_KEY_TABLE(X)
#undef X
    AUDIT_KEY_COUNT
};
/* clang-format on */

enum audit_kind { AUDIT_NULL = 0, AUDIT_NUMBER, AUDIT_TEXT, AUDIT_FLAG, AUDIT_LIST };

struct audit_key_row {
    const char *text; /* as it stands behind the value before it, unknown: `,"name":null` */
    size_t len;       /* without the null */
    enum audit_kind kind;
};

extern const struct audit_key_row AUDIT_KEYS[AUDIT_KEY_COUNT];

#endif
