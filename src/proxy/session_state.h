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
#include "wire/proxy_header.h"

enum session_step {
    STEP_BALANCER = 0, /* behind a load balancer: reading its PROXY header */
    STEP_HEAD,         /* reading the CONNECT head */
    STEP_RESOLVE,      /* the name is being resolved */
    STEP_DIAL,         /* the origin is being dialled */
    STEP_HELLO,        /* reading the ClientHello: the 200 is out, or the network brought the client and this is all it says */
    STEP_COMMIT,       /* the decision is on its way to the journal */
    STEP_RELAY,        /* bytes go both ways */
    STEP_PAUSE,        /* refused, and told so in a while */
    STEP_LINGER,       /* refused and told so; what still comes is thrown away */
    STEP_COUNT
};

/* What is only needed until the tunnel is open; freed then, so that an idle tunnel holds two sockets and its session. Nothing is under way any more
 * when it is freed. */
struct setup {
    struct setup *next; /* the pool's */
    uint8_t *bytes;     /* from the client, from the start of what is being parsed */
    size_t len, size;
    struct proxy_header balancer;
    struct connect_request request;
    struct client_hello hello;
    bool hello_seen;
    char version[8]; /* room for a version without a name */
    const char *version_text;
    struct question question;
    struct hello_facts facts;
    struct address addresses[RESOLVED_MAX]; /* where it may be dialled */
    size_t address_count;
    bool original_first;  /* the first of them is where the client meant to go */
    uint64_t accepted_ms; /* when the client came */
    bool own_unknown;     /* of some address it could not be found out whether it is our own */
    struct resolve *resolving;
    struct dial *dialing;
    struct journal_wait commit;
    bool has_dns_ms, has_connect_ms;
    uint32_t dns_ms, connect_ms;
    char *user_agent;
    const char *cause;   /* why the network said no, for the reply and the record's detail; static */
    const char *fault;   /* what is wrong with what the client sent, for the same; static */
    char detail[200];    /* of the record, before those: a request that is no CONNECT, or what a quota or a newer policy says; "" none */
    uint32_t retry_s;    /* when it may be asked again; 0: nobody knows */
    enum reason refused; /* while it pauses: what it will be told */
};

struct session {
    struct grave grave;
    struct session *next, **link; /* in the worker's list */
    struct worker *worker;
    struct config *config;           /* the snapshot that judges it, by a reference; or that has, and is held (`judged`) */
    const struct listener *listener; /* … by which it came, which may be another snapshot's: that is held, too */
    struct setup *setup;

    enum session_step step;
    int client_fd, origin_fd;   /* -1: none */
    struct event *client_event; /* readable: goes to the step; NULL in the relay, which listens itself */
    struct event *deadline;     /* NULL: the step has none */
    struct relay relay;

    bool spoke;     /* the client sent at least a byte */
    bool past_http; /* the 200 is out, or HTTP was never spoken: only an alert, FIN or RST can say anything */
    bool decided;   /* an allowing decision was given to the journal: a `close` is owed */
    bool judged;    /* for good: its tunnel is open, and by what comes later it is judged by another snapshot */
    bool counted;   /* among the sessions that the limit is about */
    bool shares;    /* … and among those of its client */
    bool stranger;  /* the client is in no group */
    bool too_late;  /* it came when its worker was draining: no tunnel is opened for it */
    bool lingers, pauses;
    bool has_hello;    /* a ClientHello was read, … */
    bool has_ech;      /* … and had this */
    uint32_t lingered; /* bytes thrown away after a refusal */

    char id[ULID_TEXT_MAX];
    struct endpoint client;
    struct address peer;     /* the load balancer that speaks for the client; not set without one */
    struct address original; /* where a client that the network brought meant to go; not set otherwise */
    struct endpoint upstream, egress;
    struct address egress_public;
    uint16_t port;
    uint32_t host_len, sni_len, user_len;
    char *host; /* as asked for: the normal form, or what the client wrote when there is none; NULL before */
    char *sni;  /* as sent, any bytes; NULL: none. In an open tunnel it may be `host`, if it says the same */
    char *user; /* Basic user name, any bytes; NULL: none */
    struct verdict verdict;
    uint64_t opened_ms; /* when the relay began; 0: never */
    const char *owed;   /* it is over, and there was no memory for a `close` with this end; NULL: there was */
};

/* The one door between steps: sets the step, its deadline, and calls what begins it. */
void session_enter(struct session *session, enum session_step step);

/* A door out, before a decision was given to the journal: records the denial (of a client that never sent a byte, only a count),
 * answers by the reason's row, lingers. */
void session_close(struct session *session, enum reason reason);

/* The door out of a tunnel that is open or about to be: records its `close` and closes both sides, by a reset where `end` is one. */
void session_end(struct session *session, const char *end, const char *detail);

/* The door out when the journal does not confirm the decision: records the `close` of a tunnel that never opened, refuses, lingers. */
void session_uncommitted(struct session *session, const char *detail);

/* The door out when policy does not allow any more what was decided: the same two, by whether the tunnel is open. */
void session_revoke(struct session *session, const char *detail);

/* The door out of a connection that is nobody's: counts it, and records no decision. */
void session_dismiss(struct session *session);

/* Once the client is known. False: it has its share already, and the session went out. */
bool session_take_share(struct session *session);

/* The relay listens to the client instead. */
void session_ignore_client(struct session *session);

/* Frees what only the way to the tunnel needed. */
void session_setup_free(struct session *session);

/* What a client may send behind a head or a hello before anything is forwarded; more waits in its socket. */
#define EARLY_MAX 16384

/* session_head.c: reading from a client before its tunnel stands, and the CONNECT head. */

/* One read into the set-up's buffer, which holds `most` in all. True: there is more to look at. False: nothing came, or it is closed already,
 * with `too_much` when `most` is reached. */
bool session_read(struct session *session, size_t most, enum reason too_much);
/* What was parsed goes; what came behind it is the start of what is parsed next. */
void session_consume(struct setup *setup, size_t len);
/* A malloc'd copy with a NUL behind it. */
bool session_keep(char **out, const void *bytes, size_t len);
/* Puts the host's text into the record's, for good. */
bool session_keep_host(struct session *session, const void *bytes, size_t len);
/* Goes where the verdict on client, host and port says: out, or on to the name. */
void session_follow_verdict(struct session *session);
void session_head_begin(struct session *session);
void session_head_readable(struct session *session);

/* session_balancer.c: who the client behind a load balancer is. */
void session_balancer_begin(struct session *session);
void session_balancer_readable(struct session *session);

/* session_hello.c: the ClientHello. */
void session_hello_begin(struct session *session);
void session_hello_readable(struct session *session);

/* session_transparent.c: a client that the network brought. */

/* `facts` NULL: what came is no TLS. */
void session_judge_transparent(struct session *session, const struct hello_facts *facts);

/* session_quota.c: what its client's groups may still move. */

/* Whether they may open another tunnel. False: it went out. */
bool session_admit(struct session *session);
/* Before the relay starts, and whenever another policy holds: what it carries from here on is counted by the newest one. False: out of memory,
 * nothing changed. */
bool session_meter(struct session *session);
/* Counts what is not counted yet. */
void session_meter_free(struct session *session);

/* session_pause.c: who is refused too often. */

/* Counts a refusal. True: its answer shall wait, in STEP_PAUSE. */
bool session_takes_pause(struct session *session, enum reason reason);
/* Harmless when there is none. */
void session_end_pause(struct session *session);

/* session_review.c: what a later policy says. */

/* Before it is judged for the first time: by the newest snapshot, if that is another one than it was born with. */
void session_update(struct session *session);
/* Just before its decision is recorded: judges it again where snapshot or day are not those that it was judged by. False: it went out. */
bool session_confirm(struct session *session);

/* session_connect.c: the way out. */
void session_resolve_begin(struct session *session);
void session_dial_begin(struct session *session);
void session_commit_begin(struct session *session);
void session_relay_begin(struct session *session);

/* session_answer.c: what the client is told. */
bool session_answer_established(struct session *session);                 /* false: nobody listens */
bool session_answer_refusal(struct session *session, enum reason reason); /* true: by resetting the socket, which is left to the caller */

/* session_record.c: what the journal is told. */
enum session_recorded { RECORDED_WAIT = 0, RECORDED_AT_ONCE, RECORDED_NOT };
enum session_recorded session_record_allow(struct session *session);
void session_record_denial(struct session *session, enum reason reason);
/* Without memory it is owed. */
void session_record_close(struct session *session, const char *end, const char *detail);
/* What is owed, once more. False: it still is. */
bool session_record_owed(struct session *session);

#endif
