/* One audit record read back from its line, key by key: as strict as the one writer (audit/record) is regular, and no reader of other JSON. */
#ifndef EXEAT_AUDIT_AUDIT_RECORD_H
#define EXEAT_AUDIT_AUDIT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/record.h"

/*   symbol, key, what it is unless null: the keys of exeat-audit(5) in their order */
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

struct audit_value {
    enum audit_kind kind;
    uint64_t number; /* of a flag: 0 or 1 */
    const char *at;  /* of a text or list: what stands between its quotes or brackets, escaped as it is, in the line; no NUL behind it */
    size_t len;
};

struct audit_record {
    enum record_event event;
    struct audit_value values[AUDIT_KEY_COUNT];
};

/* `line` is without its newline and must outlive the record. False when it is not one that record_write() and the journal can have made. */
bool audit_record_read(struct audit_record *out, const char *line, size_t len);

/* The same of a text that the journal has not made a line yet: v, seq and chain are null. */
bool audit_record_read_text(struct audit_record *out, const char *text, size_t len);

/* True for a text that is this word. */
bool audit_value_is(const struct audit_value *value, const char *word);

#endif
