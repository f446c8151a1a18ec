/* Who may go where, by which way: built once from the configuration, then only read. No network, no clock. */
#ifndef EXEAT_POLICY_POLICY_H
#define EXEAT_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/number.h"
#include "policy/hostname.h"
#include "policy/network.h"
#include "policy/pattern.h"
#include "policy/reason.h"

enum sni_demand { SNI_MATCH = 0, SNI_ALLOWED, SNI_ANY, SNI_OFF };
enum ech_demand { ECH_DENY = 0, ECH_OUTER };
enum rule_action { ACTION_DENY = 0, ACTION_ALLOW, ACTION_OBSERVE };
enum source_pick { PICK_STICKY = 0, PICK_ROUND_ROBIN };
enum address_demand { ADDRESSES_PUBLIC = 0, ADDRESSES_LISTED, ADDRESSES_ANY };

/* Which bytes a quota is of. */
enum quota_way { QUOTA_UPLOAD = 0, QUOTA_DOWNLOAD, QUOTA_WAYS };

const char *quota_way_text(enum quota_way way); /* "upload" … */

/* `[clients NAME]` */
struct group {
    char *name;
    char *at;                       /* FILE:LINE */
    struct network_set *from;       /* made by policy_add_group */
    struct rate quotas[QUOTA_WAYS]; /* bytes that all its clients together may move; zeroed: no bound */
    bool denials;                   /* GET /denials answers its clients with their own */
    bool used;                      /* some rule names it (for the lints); set by policy_seal */
};

/* `[hosts NAME]`, a built-in list, or the patterns that stand in a rule itself (name NULL). */
struct host_list {
    char *name;
    char *at;
    uint32_t number;
    struct network_set *networks; /* its NETWORK patterns, made by policy_add_list */
    size_t names;                 /* how many EXACT and BELOW patterns were put in */
    bool used;                    /* some rule names it; set by policy_seal */
};

struct source {
    struct address local;
    struct address public_ip; /* the same as local unless the line was PRIVATE=PUBLIC */
};

/* `[route NAME]` */
struct route {
    char *name;
    char *at;
    uint32_t number;
    struct source *sources; /* none: not pinned, the kernel picks */
    size_t source_count;
    enum source_pick pick;
    char *interface; /* or NULL */
    uint32_t mark;   /* 0: none */
    struct endpoint *resolvers;
    size_t resolver_count; /* 0: the resolvers of [dns] */
    enum address_demand addresses;
    struct network_set *listed; /* ADDRESSES_LISTED; made by policy_add_route */
};

struct port_range {
    uint16_t first, last;
};

/* `[rule NAME]`, in file order */
struct rule {
    char *name;
    char *at;
    uint32_t number;
    struct group **groups; /* none: any group */
    size_t group_count;
    struct host_list **lists;
    size_t list_count;
    struct port_range *ports; /* none: no port (the default 443 is the configuration's to fill in) */
    size_t port_count;
    enum sni_demand sni;
    enum ech_demand ech;
    enum rule_action action;
    struct route *route;         /* NULL only with ACTION_DENY */
    uint32_t expires_day;        /* days since 1970, the last day on which it allows; 0: never */
    char *owner, *ticket, *note; /* or NULL */
};

struct policy;

/* Building. What is returned is owned by the policy and filled in place by the caller, who gives it malloc'd strings and arrays (names and `at` are
 * copied, sets are there already and are sealed by policy_seal); NULL or false: out of memory. A policy without rules denies everything. */
struct policy *policy_new(void);
void policy_free(struct policy *policy);
/* Frees what it decides by, which nobody does any more. Names and places of groups, routes and rules stay, for who was decided on by it. */
void policy_shed(struct policy *policy);
struct group *policy_add_group(struct policy *policy, const char *name, const char *at);
struct host_list *policy_add_list(struct policy *policy, const char *name, const char *at);
bool policy_list_add(struct policy *policy, struct host_list *list, const struct pattern *pattern);
struct route *policy_add_route(struct policy *policy, const char *name, const char *at);
struct rule *policy_add_rule(struct policy *policy, const char *name, const char *at);
void policy_set_observe(struct policy *policy, struct route *route); /* mode = observe; NULL: enforce */
/* Own listeners, own addresses, sister instances: dialled on no route. Port 0: any port. Also after policy_seal(), as long as nobody shares the
 * policy yet: a port that the kernel picked is known only once it is bound. */
bool policy_add_never(struct policy *policy, const struct network *network, uint16_t port);
/* Whether some address is never dialled on just this port: then it is a port of our own. */
bool policy_has_never_port(const struct policy *policy, uint16_t port);
/* Seals sets and tables. After this it is immutable and may be read by every thread. */
bool policy_seal(struct policy *policy);

/* Looking. NULL when there is none; at() in file order. */
struct group *policy_find_group(const struct policy *policy, const char *name);
struct host_list *policy_find_list(const struct policy *policy, const char *name);
struct route *policy_find_route(const struct policy *policy, const char *name);
size_t policy_group_count(const struct policy *policy);
const struct group *policy_group_at(const struct policy *policy, size_t index);
/* Those of them that have a quota. */
size_t policy_bounded_count(const struct policy *policy);
const struct group *policy_bounded_at(const struct policy *policy, size_t index);
size_t policy_route_count(const struct policy *policy);
const struct route *policy_route_at(const struct policy *policy, size_t index);
size_t policy_rule_count(const struct policy *policy);
const struct rule *policy_rule_at(const struct policy *policy, size_t index);
const struct route *policy_observe_route(const struct policy *policy);

bool group_has_quota(const struct group *group);
bool group_has_client(const struct group *group, const struct address *client);

/* The group that is recorded for a client: of those that hold its address, the one with the most specific network (the first in file order when
 * equal); NULL: unknown. */
const struct group *policy_group_of(const struct policy *policy, const struct address *client);

/* Deciding. */
enum verdict_kind { VERDICT_DENY = 0, VERDICT_ALLOW, VERDICT_OBSERVE };

struct question {
    struct address client;
    struct host host; /* of the CONNECT, or the server name that a transparent client sent */
    uint16_t port;
    uint32_t today; /* days since 1970-01-01 UTC, for `expires` */
};

/* What the ClientHello said, as far as policy cares. */
enum sni_state { SNI_NONE = 0, SNI_BAD, SNI_NAME };
struct hello_facts {
    enum sni_state sni;
    char name[HOSTNAME_SIZE]; /* SNI_NAME: the normal form */
    bool ech;
};

struct verdict {
    enum verdict_kind kind;
    enum reason reason;        /* rule_allow when allowed; for OBSERVE what it would have been denied for, or rule_observe */
    const struct group *group; /* NULL: unknown client */
    const struct rule *rule;   /* NULL: none matched */
    const struct route *route; /* NULL when denied without one */
};

/* By client, host and port. A zeroed question is denied. */
void policy_decide(const struct policy *policy, const struct question *question, struct verdict *verdict);

/* Goes on from an allowing verdict of policy_decide, by what the hello said (the rule's sni and ech); may turn it into a denial, or, where observe
 * holds, into VERDICT_OBSERVE with the reason. With `sni = off` a CONNECT has no hello to be judged. */
void policy_judge_hello(const struct policy *policy, const struct question *question, const struct hello_facts *hello, struct verdict *verdict);

/* Decides and judges in one, for a connection that the network brought: `hello` is what came first, NULL when that was no TLS; `original` where the
 * client meant to go. The host is the server name and goes into the question; without one it is the original address, which only a rule over a
 * network can allow (what is no TLS, only with `sni = off`). The reasons are those of a CONNECT to that host, and sni_missing, sni_invalid,
 * not_tls. */
void policy_decide_transparent(const struct policy *policy, struct question *question, const struct hello_facts *hello,
                               const struct address *original, struct verdict *verdict);

/* Whether some rule names the host at all, for whichever client and port. */
bool policy_names_host(const struct policy *policy, const struct host *host);

/* What `sni` asks of the tunnel that this verdict opens. Observed tunnels without a rule demand what the default does (match). */
enum sni_demand verdict_sni_demand(const struct verdict *verdict);

/* Whether the route may dial this address and port: its class or the route's list, and nowhere that is never dialled. */
bool policy_accepts(const struct policy *policy, const struct route *route, const struct endpoint *to);

/* Keeps, in place and in order, the addresses that the route may dial on this port, and returns how many. When none is left *reason says why:
 * route_unavailable (the route has no source of any of their families), else address_forbidden. The server and `explain` both judge by it. */
size_t policy_sieve(const struct policy *policy, const struct route *route, uint16_t port, struct address *addresses, size_t count,
                    enum reason *reason);

/* Whether the route can speak this family: unpinned, or it has a source of it. */
bool route_has_family(const struct route *route, enum family family);

/* For `explain`: the rule that came nearest to a denied question, and what was missing ("port 8443 is not among 443"), written into `why`.
 * NULL: none. */
const struct rule *policy_nearest(const struct policy *policy, const struct question *question, char *why, size_t why_size);

const char *verdict_text(enum verdict_kind kind); /* "allow" … */

#endif
