/* The whole configuration as one immutable snapshot with a reference count. */
#ifndef EXEAT_CONFIG_CONFIG_H
#define EXEAT_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "config/bundle.h"
#include "config/facts.h"
#include "config/fault.h"
#include "policy/policy.h"

#define CONFIG_DIGEST_SIZE 72 /* "sha256:" and 64 hex digits, NUL */

enum listener_mode { LISTENER_CONNECT = 0, LISTENER_REDIRECT, LISTENER_TPROXY };

const char *listener_mode_text(enum listener_mode mode); /* "connect" … */

enum sandbox_mode { SANDBOX_AUTO = 0, SANDBOX_ON, SANDBOX_OFF };

#define WORKERS_MAX 256 /* what `workers` may be at most */

struct config;

/* `[listen NAME]` */
struct listener {
    struct config *config; /* that it is of */
    char *name;
    char *at;
    struct endpoint *addresses;
    size_t address_count;
    enum listener_mode mode;
    bool proxy_protocol;         /* each connection begins with a PROXY header; only with LISTENER_CONNECT */
    struct network_set *trusted; /* from whom it is believed; sealed; NULL: no proxy_protocol */
};

/* Whether the network brings clients here that never heard of a proxy. */
bool listener_is_transparent(const struct listener *listener);

/* `[expect NAME]` */
struct expectation {
    char *name;
    char *at;
    struct address from;
    char **allow; /* HOST or HOST:PORT (443) */
    size_t allow_count;
    char **deny;
    size_t deny_count;
};

/* One line of [dns] hosts_file. */
struct static_host {
    char name[HOSTNAME_SIZE];
    struct address *addresses;
    size_t address_count;
};

struct dns_settings {
    struct endpoint *servers;  /* port 53 unless given */
    size_t server_count;       /* 0: resolv.conf */
    struct static_host *hosts; /* sorted by name */
    size_t host_count;
    uint64_t min_ttl_ms, max_ttl_ms, negative_ttl_ms, timeout_ms;
};

struct limit_settings {
    uint64_t request_timeout_ms, hello_timeout_ms, connect_timeout_ms, idle_timeout_ms, keepalive_ms;
    uint64_t request_head, hello; /* bytes */
    uint64_t tunnels;             /* 0: auto, from RLIMIT_NOFILE */
    uint64_t tunnels_per_client;  /* 0: half of those */
    uint64_t refusals_per_client; /* in 10 s, before answers wait; 0: no limit */
};

struct audit_settings {
    char *file; /* "-": standard output; a relative one has been put beside the file that names it */
    bool continue_on_failure;
    bool unchained;   /* `chain = no` */
    bool sync_batch;  /* `sync = batch` */
    uint64_t reserve; /* bytes; 0: none */
    char *sign_key;   /* NULL: nothing is signed; put beside the file that names it. Its bytes are nowhere in a snapshot: config/sign_key */
    char *sign_key_at;
    uint64_t checkpoint_records, checkpoint_ms; /* how much may be unsigned, and for how long */
};

/* `[admin]` */
struct admin_settings {
    char *socket;            /* the path of the socket that answers everything; NULL: none */
    char *state;             /* the file that keeps what became of the rules; NULL: none */
    struct endpoint metrics; /* where metrics and health are asked for; its address not set: nowhere */
};

/* What a socket's name has room for, NUL included. */
#define ADMIN_SOCKET_MAX 108

struct lint_notes;

struct config {
    char *name;       /* the record's `instance` */
    unsigned workers; /* 0: auto */
    char *user;       /* whom root becomes; NULL: nobody */
    enum sandbox_mode sandbox;
    bool keep_revoked; /* `on_revoke = keep` */
    uint64_t drain_delay_ms, drain_timeout_ms;
    bool watch;
    struct listener *listeners;
    size_t listener_count;
    bool transparent; /* some listener is */
    struct policy *policy;
    struct expectation *expectations;
    size_t expectation_count;
    struct dns_settings dns;
    struct limit_settings limits;
    struct audit_settings audit;
    struct admin_settings admin;
    char digest[CONFIG_DIGEST_SIZE]; /* of the meaning, not the comments: `policy` in the record */
    struct lint_notes *notes;        /* private: what config_lint says of patterns and lists */
    unsigned judges, holders;        /* private, atomic: who judge by it are one holder together */
    bool shed;                       /* private: nobody does any more, and what for is gone */
    void (*last)(void *arg, struct config *config);
    void *last_arg;
    struct config *next; /* for whom `last` gave it to */
};

/* Path under which the embedded default stands in every bundle. */
#define CONFIG_EMBEDDED "exeat.default.conf"

/* Reads the configuration at `path` (CONFIG_EMBEDDED: the built-in one) through the bundle. NULL when there is a fault (all are in `faults`);
 * the result has one reference. Does not lint and does not run the expectations. A bundle from another process of ours has been judged there: what it
 * means is taken from it, and no notes are made for lints. */
struct config *config_load(struct bundle *bundle, const char *path, struct fault_list *faults);
/* The same; `taker` is told each fact of it, in the order of reading, also when there is a fault in the end. */
struct config *config_load_facts(struct bundle *bundle, const char *path, struct fault_list *faults, const struct fact_taker *taker);
/* The path of the socket of `[admin] listen` in the configuration at `path`, also where something else in it is wrong: who asks may want to hear of
 * that. Malloc'd; NULL: there is none, or the faults hide it. */
char *config_find_socket(struct bundle *bundle, const char *path, struct fault_list *faults);

/* Gives it what its server was started with: `instance` and on_failure. Before anyone shares it. False: out of memory. */
bool config_set_instance(struct config *config, const char *name, bool continue_on_failure);

/* Makes it go on with what only a restart changes, as `now` has it. Before anyone shares it. False: out of memory. */
bool config_keep(struct config *config, const struct config *now);

/* Adds `--listen ADDR` as listener "command-line" in place of the configured ones. Before anyone shares the snapshot. */
bool config_set_listen(struct config *config, const struct endpoint *address);

/* Says where a listener, or the door for metrics, was really bound (port 0 got its port): no route dials it from then on. Before anyone shares the
 * snapshot. */
bool config_never_listener(struct config *config, const struct endpoint *bound);

/* Holds the configuration that it is of. */
const struct listener *listener_ref(const struct listener *listener);
void listener_unref(const struct listener *listener);

/* A reference is for who judges by it. Where there is none any more, its tables of hosts and networks are freed: most of a snapshot. */
struct config *config_ref(struct config *config);
void config_unref(struct config *config);

/* Whoever holds it has the rest: the names in a verdict, listeners, limits, the digest. */
struct config *config_hold(struct config *config);
void config_release(struct config *config);

/* Frees the policy, which is most of a snapshot: for who has judged it and leaves deciding to another process. */
void config_drop_policy(struct config *config);

/* From now on nothing is freed where the last reference, or the last hold, is dropped, on a thread that may have better to do: `last` is called
 * there, and whoever it tells calls config_settle() each time, which frees what is not needed any more. */
void config_on_last(struct config *config, void (*last)(void *arg, struct config *config), void *arg);
void config_settle(struct config *config);

/* The static host of that name, or NULL. */
const struct static_host *config_static_host(const struct config *config, const char *name);

/* Warnings about what is allowed but unwise, of a configuration that was read from the disk. `today` in days since 1970. Asks this host for its
 * addresses. */
void config_lint(const struct config *config, uint32_t today, struct fault_list *faults);

/* Runs the [expect] sections; each that fails is a fault. */
void config_expect(const struct config *config, uint32_t today, struct fault_list *faults);

#endif
