/* What a session knows: private to the files named session_*. */
#ifndef EXEAT_PROXY_SESSION_STATE_H
#define EXEAT_PROXY_SESSION_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/journal_queue.h"
#include "base/ulid.h"
#include "config/config.h"
#include "policy/policy.h"
#include "proxy/dialer.h"
#include "proxy/loop.h"
#include "proxy/relay.h"
#include "proxy/resolver.h"
#include "wire/client_hello.h"
#include "wire/connect_request.h"

enum session_step {
    STEP_NONE = 0,
    STEP_HEAD,    /* reading the CONNECT head */
    STEP_RESOLVE, /* its name is being resolved */
    STEP_DIAL,    /* the origin is being dialled */
    STEP_HELLO,   /* the 200 is out; reading the ClientHello */
    STEP_COMMIT,  /* the decision is on its way to the journal */
    STEP_RELAY,   /* bytes go both ways */
    STEP_LINGER,  /* refused and told so; what still comes is thrown away */
    STEP_OVER,
    STEP_COUNT
};

/* What is only needed until the tunnel is open; freed then, so that an idle tunnel holds two sockets and its session. */
struct setup {
    uint8_t *bytes; /* from the client, from the start of what is being parsed */
    size_t len, size;
    struct connect_request request;
    struct client_hello hello;
    bool hello_seen;
    char version[8]; /* room for a version without a name */
    const char *version_text;
    struct question question;
    struct hello_facts facts;
    struct address addresses[RESOLVED_MAX]; /* where it may be dialled */
    size_t address_count;
    char *user_agent;
    const char *cause; /* why the network said no, for the reply and the record's detail; static */
    const char *fault; /* what is wrong with what the client sent; static */
    char asked[200];   /* the method and authority of a request that is no CONNECT; "" none */
};

struct session {
    struct grave grave;
    struct session *next, **link; /* in the worker's list */
    struct worker *worker;
    struct config *config; /* the snapshot that judges it; one reference */
    const struct listener *listener;
    struct setup *setup;

    enum session_step step;
    int client_fd, origin_fd;   /* -1: none */
    struct event *client_event; /* readable; before the relay and in the linger */
    struct event *deadline;
    struct resolve *resolving;
    struct dial *dialing;
    struct journal_wait commit;
    struct relay relay;

    bool spoke;    /* the client sent at least a byte */
    bool answered; /* the 200 is out: from here on HTTP cannot say anything */
    bool decided;  /* an allowing decision was given to the journal: a `close` is owed */
    bool counted;  /* among the sessions that the limit is about */
    bool lingers;
    size_t lingered; /* bytes thrown away after a refusal */

    char id[ULID_TEXT_MAX];
    struct endpoint client;
    char *host; /* as asked for: the normal form, or what the client wrote when there is none; NULL before */
    size_t host_len;
    uint16_t port;
    char *sni; /* as sent, any bytes; NULL: none */
    size_t sni_len;
    char *user; /* Basic user name; NULL: none */
    struct verdict verdict;
    struct endpoint upstream, egress;
    struct address egress_public;
    bool has_dns_ms, has_connect_ms;
    uint32_t dns_ms, connect_ms;
    uint64_t opened_ms; /* when the relay began; 0: never */
};

/* The one door between steps: sets the step, its deadline, and calls what begins it. */
void session_enter(struct session *session, enum session_step step);

/* The one door out, from any step. Before the tunnel: answers by the reason's row, records the denial, lingers. After the decision: records the `close` with `session_end`'s word. */
void session_close(struct session *session, enum reason reason);

/* For an open (or just decided) tunnel: how it ended, for the `close` record; then session_close. */
void session_end(struct session *session, const char *end, const char *detail);

/* Frees what only the way to the tunnel needed. */
void session_setup_free(struct session *session);

/* For a decision that the journal does not confirm: records the `close` of a tunnel that never opened, and refuses. */
void session_uncommitted(struct session *session, const char *detail);

/* session_connect.c: the steps of an explicit connection. */
void session_head_begin(struct session *session);
void session_resolve_begin(struct session *session);
void session_dial_begin(struct session *session);
void session_hello_begin(struct session *session);
void session_commit_begin(struct session *session);
void session_relay_begin(struct session *session);

/* session_answer.c: what the client is told. */
void session_answer_established(struct session *session);
bool session_answer_refusal(struct session *session, enum reason reason); /* true: by resetting the socket, which is left to the caller */

/* session_record.c: what the journal is told. */
enum session_recorded { RECORDED_WAIT = 0, RECORDED_AT_ONCE, RECORDED_NOT };
enum session_recorded session_record_allow(struct session *session);
void session_record_denial(struct session *session, enum reason reason);
void session_record_close(struct session *session, const char *end, const char *detail);

#endif
