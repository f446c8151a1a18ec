/* Why a connection ended as it did: one row a reason. Replies and records go by it, and the tests hold the manual against it. */
#ifndef EXEAT_POLICY_REASON_H
#define EXEAT_POLICY_REASON_H

#include <stdbool.h>

enum reason_class { CLASS_NONE = 0, CLASS_POLICY, CLASS_CLIENT, CLASS_NETWORK, CLASS_CAPACITY };

/* How the phrase of a reply ends. The Buildkite agent retries what ends in one of the three texts (its api/retryable.go), and nothing else. */
enum reason_ending { ENDING_NONE = 0, ENDING_NO_HOST, ENDING_TIMED_OUT, ENDING_REFUSED };

/* What a client is told after the `200`, or without one: a TLS alert, a bare FIN, or RST for what may pass in time. */
enum reason_cut { CUT_FIN = 0, CUT_ACCESS_DENIED, CUT_DECODE_ERROR, CUT_RESET };

/*   symbol, code, class, status (0: never in HTTP), Proxy-Status error type (RFC 9209), ending, cut, sentence after "HOST:PORT " or alone */
/* clang-format off */
#define REASON_TABLE(X)                                                                                                                             \
    X(UNKNOWN, "unknown", CLASS_POLICY, 403, "http_request_denied", ENDING_NONE, CUT_ACCESS_DENIED, "is not allowed")                               \
    X(RULE_ALLOW, "rule_allow", CLASS_NONE, 200, "", ENDING_NONE, CUT_FIN, "is allowed")                                                            \
    X(RULE_OBSERVE, "rule_observe", CLASS_NONE, 200, "", ENDING_NONE, CUT_FIN, "is let out and observed")                                           \
    X(CLIENT_UNKNOWN, "client_unknown", CLASS_POLICY, 403, "http_request_denied", ENDING_NONE, CUT_ACCESS_DENIED,                                   \
      "is not allowed: your address is in no clients group")                                                                                        \
    X(DEFAULT_DENY, "default_deny", CLASS_POLICY, 403, "http_request_denied", ENDING_NONE, CUT_ACCESS_DENIED, "is not allowed")                     \
    X(RULE_DENY, "rule_deny", CLASS_POLICY, 403, "http_request_denied", ENDING_NONE, CUT_ACCESS_DENIED, "is denied by a rule")                      \
    X(RULE_EXPIRED, "rule_expired", CLASS_POLICY, 403, "http_request_denied", ENDING_NONE, CUT_ACCESS_DENIED, "was allowed by a rule that expired") \
    X(ADDRESS_LITERAL, "address_literal", CLASS_POLICY, 403, "http_request_denied", ENDING_NONE, CUT_ACCESS_DENIED,                                 \
      "is an address: ask for a name")                                                                                                              \
    X(ADDRESS_FORBIDDEN, "address_forbidden", CLASS_POLICY, 403, "destination_ip_prohibited", ENDING_NONE, CUT_ACCESS_DENIED,                       \
      "has no address that may be dialled")                                                                                                         \
    X(NOT_TLS, "not_tls", CLASS_POLICY, 0, "", ENDING_NONE, CUT_FIN, "did not speak TLS")                                                           \
    X(SNI_MISSING, "sni_missing", CLASS_POLICY, 0, "", ENDING_NONE, CUT_ACCESS_DENIED, "needs a server name (SNI)")                                 \
    X(SNI_INVALID, "sni_invalid", CLASS_POLICY, 0, "", ENDING_NONE, CUT_ACCESS_DENIED, "was sent a server name (SNI) that is none")                 \
    X(SNI_MISMATCH, "sni_mismatch", CLASS_POLICY, 0, "", ENDING_NONE, CUT_ACCESS_DENIED, "was sent another server name (SNI)")                      \
    X(SNI_DENIED, "sni_denied", CLASS_POLICY, 0, "", ENDING_NONE, CUT_ACCESS_DENIED, "was sent a server name (SNI) that is not allowed")            \
    X(ECH_DENIED, "ech_denied", CLASS_POLICY, 0, "", ENDING_NONE, CUT_ACCESS_DENIED, "was sent an encrypted ClientHello (ECH)")                     \
    X(POLICY_REVOKED, "policy_revoked", CLASS_POLICY, 403, "http_request_denied", ENDING_NONE, CUT_ACCESS_DENIED, "is not allowed any more")         \
    X(BAD_REQUEST, "bad_request", CLASS_CLIENT, 400, "http_request_error", ENDING_NONE, CUT_FIN, "bad request")                                     \
    X(PROXY_HEADER, "proxy_header", CLASS_CLIENT, 400, "http_request_error", ENDING_NONE, CUT_FIN, "bad PROXY header")                              \
    X(METHOD_NOT_ALLOWED, "method_not_allowed", CLASS_CLIENT, 405, "http_request_denied", ENDING_NONE, CUT_FIN, "only CONNECT is served")           \
    X(REQUEST_TIMEOUT, "request_timeout", CLASS_CLIENT, 408, "http_request_error", ENDING_NONE, CUT_FIN, "the request did not come in time")        \
    X(REQUEST_TOO_LARGE, "request_too_large", CLASS_CLIENT, 431, "http_request_error", ENDING_NONE, CUT_FIN, "the request head is too large")       \
    X(HELLO_TIMEOUT, "hello_timeout", CLASS_CLIENT, 0, "", ENDING_NONE, CUT_FIN, "no ClientHello came in time")                                     \
    X(HELLO_MALFORMED, "hello_malformed", CLASS_CLIENT, 0, "", ENDING_NONE, CUT_DECODE_ERROR, "was sent no valid ClientHello")                      \
    X(HELLO_TOO_LARGE, "hello_too_large", CLASS_CLIENT, 0, "", ENDING_NONE, CUT_DECODE_ERROR, "was sent a ClientHello that is too large")           \
    X(CLIENT_GONE, "client_gone", CLASS_CLIENT, 0, "", ENDING_NONE, CUT_FIN, "the client left")                                                     \
    X(DENIALS_ASKED, "denials_asked", CLASS_CLIENT, 200, "", ENDING_NONE, CUT_FIN, "the client asked for its denials")                              \
    X(DNS_FAILED, "dns_failed", CLASS_NETWORK, 502, "dns_error", ENDING_NO_HOST, CUT_RESET, "cannot be resolved")                                   \
    X(DNS_TIMEOUT, "dns_timeout", CLASS_NETWORK, 504, "dns_timeout", ENDING_TIMED_OUT, CUT_RESET, "was not resolved in time")                       \
    X(CONNECT_FAILED, "connect_failed", CLASS_NETWORK, 502, "destination_unavailable", ENDING_REFUSED, CUT_RESET, "cannot be reached")              \
    X(CONNECT_TIMEOUT, "connect_timeout", CLASS_NETWORK, 504, "connection_timeout", ENDING_TIMED_OUT, CUT_RESET, "did not answer in time")          \
    X(ROUTE_UNAVAILABLE, "route_unavailable", CLASS_NETWORK, 502, "destination_ip_unroutable", ENDING_REFUSED, CUT_RESET, "has no way out")         \
    X(OVERLOAD, "overload", CLASS_CAPACITY, 503, "connection_limit_reached", ENDING_REFUSED, CUT_RESET, "cannot be served now")                     \
    X(QUOTA, "quota", CLASS_CAPACITY, 503, "connection_limit_reached", ENDING_REFUSED, CUT_RESET, "is past your share")                             \
    X(AUDIT_UNAVAILABLE, "audit_unavailable", CLASS_CAPACITY, 503, "proxy_internal_error", ENDING_REFUSED, CUT_RESET, "cannot be recorded now")     \
    X(DRAINING, "draining", CLASS_CAPACITY, 503, "destination_unavailable", ENDING_REFUSED, CUT_RESET, "this proxy is going away")

enum reason {
#define X(symbol, code, class, status, error, ending, cut, sentence) REASON_##symbol,
    REASON_TABLE(X)
#undef X
    REASON_COUNT
};
/* clang-format on */

struct reason_row {
    const char *code;
    enum reason_class class;
    unsigned status; /* of the HTTP reply, 0 when it never is one */
    const char *proxy_error;
    enum reason_ending ending;
    enum reason_cut cut;
    const char *sentence;
};

/* Never NULL: a number outside the table gives the row of REASON_UNKNOWN, which denies. */
const struct reason_row *reason_row(enum reason reason);

/* "policy", "client", "network", "capacity"; NULL for CLASS_NONE. */
const char *reason_class_text(enum reason_class class);

/* "no such host" …, "" for ENDING_NONE. */
const char *reason_ending_text(enum reason_ending ending);

/* What `mode = observe` or `action = observe` may let out. */
bool reason_is_relaxable(enum reason reason);

#endif
