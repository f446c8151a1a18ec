/* One audit record as one JSON line (exeat-audit(5)): the only writer of the schema. */
#ifndef EXEAT_AUDIT_RECORD_H
#define EXEAT_AUDIT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/text.h"

#define RECORD_MAX 8192                    /* bytes of a line, newline included; strings are bounded so that no record can pass it */
#define RECORD_TEXT_MAX (RECORD_MAX - 128) /* of these, what record_write() can need at most: the rest is for `v`, `seq`, `chain` */
#define RECORD_TEXT_MIN 500                /* … and what it makes at least: every key is written, known or not */
#define RECORD_ALPN_MAX 16

/* How many characters these may take, escaped: who keeps one more byte than that of them need keep no other, and the mark of a cut is right. */
#define RECORD_HOST_CHARS 800 /* a server name too */
#define RECORD_USER_CHARS 192 /* 64 bytes are whole when they are UTF-8 and hold no control characters */
#define RECORD_ALPN_CHARS 96

enum record_event {
    EVENT_START = 0,
    EVENT_STOP,
    EVENT_RELOAD,
    EVENT_DECISION,
    EVENT_CLOSE,
    EVENT_ROTATE,
    EVENT_RECOVERED,
    EVENT_GAP,
    EVENT_PROBE,
    EVENT_CHECKPOINT,
};

/* A string that may hold anything a peer sent; `at` NULL is null in the record. */
struct bytes {
    const void *at;
    size_t len;
};

/* Zeroed, every key is null. All pointers are the caller's and need only live through record_write. */
struct record {
    uint64_t time_us;
    const char *instance;
    enum record_event event;
    const char *id;

    const char *listener, *mode;
    struct address client_ip;
    uint16_t client_port;
    struct address peer_ip;
    const char *client_group;
    struct bytes client_user, user_agent;

    struct bytes host;
    uint16_t port; /* 0: null (so for every port) */
    struct bytes sni;
    bool has_hello; /* alpn, ja4, ech, tls_version are known */
    struct bytes alpn[RECORD_ALPN_MAX];
    size_t alpn_count; /* of more than RECORD_ALPN_MAX only those that are there are looked at */
    const char *ja4;
    bool ech;
    const char *tls_version;
    struct address original_ip;

    const char *verdict, *class, *reason, *rule, *rule_at, *policy;

    const char *route;
    struct address egress_ip, egress_public_ip;
    uint16_t egress_port;
    struct address upstream_ip;
    uint16_t upstream_port;
    bool has_dns_ms, has_connect_ms;
    uint32_t dns_ms, connect_ms;

    bool has_close; /* bytes_up … end are known */
    uint64_t bytes_up, bytes_down, duration_ms;
    const char *end;

    struct bytes detail;
};

/* Writes the record from `"time":` up to the last key before `chain`, without braces and newline: the process that owns the file puts
 * `{"v":1,"seq":N,` before it and `,"chain":…}` behind it. Returns false when it did not fit (it always does where
 * RECORD_TEXT_MAX characters and a NUL are free). A string that is too long for the schema's bounds is cut and ends in "...";
 * `rule_at`, whose end counts, begins with it. */
bool record_write(struct text *out, const struct record *record);

const char *record_event_text(enum record_event event);

#endif
