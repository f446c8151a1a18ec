/* Every option there is, one row each: the parser and `check --options` go by it, the manual and the sample are tested against it. */
#include "config/options.h"

#include <string.h>

#include "config/sections.h"

/* clang-format off */
#define SECONDS(n) ((uint64_t)(n) * 1000)
#define HOURS(n) (SECONDS(n) * 3600)
#define KIB(n) ((uint64_t)(n) << 10)
#define INTO(type, member) .offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)
#define TEXT .type = OPTION_TEXT, .max = OPTION_TEXT_MAX
#define LIST .type = OPTION_OWN, .list = true
#define OWN .type = OPTION_OWN
#define QUOTA "bytes, or with K M G, from 1 to 1048576G, and in which one of s m h d, as in 2G/h"

static const struct option_row ROWS[] = {
    {"exeat", "name", .type = OPTION_TEXT, .max = 255, .restart = true, INTO(exeat_settings, name),
     .help = "The record's `instance`; the host's name when missing."},
    {"exeat", "workers", .type = OPTION_NUMBER, .words = "auto", .min = 1, .max = WORKERS_MAX, .fallback = "auto", .restart = true,
     INTO(exeat_settings, workers), .help = "How many threads serve; auto: one a processor."},
    {"exeat", "user", TEXT, .restart = true, INTO(exeat_settings, user), .help = "Whom to become when started as root."},
    {"exeat", "sandbox", .type = OPTION_WORD, .words = "auto on off", .fallback = "auto", .restart = true, INTO(exeat_settings, sandbox),
     .help = "auto: what the kernel offers; on: all of it, or do not start; off: none."},
    {"exeat", "mode", .type = OPTION_WORD, .words = "enforce observe", .fallback = "enforce", INTO(exeat_settings, observe),
     .help = "observe lets out, and records, what the rules of known clients would deny."},
    {"exeat", "observe_route", .type = OPTION_TEXT, .max = 40, INTO(exeat_settings, observe_route),
     .help = "The route by which observed tunnels leave; required by mode = observe."},
    {"exeat", "on_revoke", .type = OPTION_WORD, .words = "cut keep", .fallback = "cut", INTO(exeat_settings, keep_revoked),
     .help = "What becomes of open tunnels that a reloaded policy no longer allows, or whose rule has expired."},
    {"exeat", "drain_delay", .type = OPTION_DURATION, .max = HOURS(1), .fallback = "0", INTO(exeat_settings, drain_delay_ms),
     .help = "After SIGTERM: not ready at once, still serving for this long (behind a load balancer)."},
    {"exeat", "drain_timeout", .type = OPTION_DURATION, .max = HOURS(168), .fallback = "8h", INTO(exeat_settings, drain_timeout_ms),
     .help = "How long open tunnels may go on behind that; then they are ended, spread over a minute."},
    {"exeat", "watch", .type = OPTION_WORD, .words = "off on", .fallback = "off", INTO(exeat_settings, watch),
     .help = "on: reload when a file of the configuration changes."},
    {"exeat", "peers", LIST, .set = exeat_set_peer, .value = "CIDRs",
     .help = "Sister instances and their load balancer: never dialled, on any route and port."},
    {"exeat", "include", LIST, .set = exeat_set_include, .value = "paths with * and ?, relative to this file",
     .help = "More files, read after this one in byte order of their paths; they may not hold [exeat]."},

    {"listen", "address", LIST, .set = listen_set_address, .required = true, .value = "ADDRESS:PORT, IPv6 in brackets; port 0 picks one",
     .help = "Where clients come in."},
    {"listen", "mode", .type = OPTION_WORD, .words = "connect redirect tproxy", .fallback = "connect", INTO(listener, mode),
     .help = "connect: clients name this proxy; redirect, tproxy: the network brings them here."},
    {"listen", "proxy_protocol", .type = OPTION_WORD, .words = "off required", .fallback = "off", INTO(listener, proxy_protocol),
     .help = "Whether a load balancer says in front of each connection who the client is."},
    {"listen", "trusted", LIST, .set = listen_set_trusted, .value = "CIDRs",
     .help = "The load balancers that may say so; required by proxy_protocol = required."},

    {"clients", "from", LIST, .set = clients_set_from, .value = "CIDRs", .help = "The networks of the group; a client may be in several groups."},
    {"clients", "from_file", .type = OPTION_OWN, .set = clients_set_from_file, .value = "a path, relative to this file",
     .help = "A CIDR or address a line, as copied from a Network Ranges page; # begins a comment."},
    {"clients", "denials", .type = OPTION_WORD, .words = "off own", .fallback = "off", INTO(group, denials),
     .help = "own: GET /denials answers a client with its own; off where clients share addresses (NAT, hosted agents)."},
    {"clients", "upload", OWN, .set = clients_set_upload, .value = QUOTA,
     .help = "How many bytes all clients of the group together may send through tunnels; no bound when missing."},
    {"clients", "download", OWN, .set = clients_set_download, .value = QUOTA, .help = "How many they may receive."},

    {"hosts", "host", LIST, .set = hosts_set_host, .value = "names, *.name, addresses, CIDRs",
     .help = "The list's patterns: a name is that name alone, *.name every one below it, a CIDR only an address that is asked for as such."},
    {"hosts", "host_file", .type = OPTION_OWN, .set = hosts_set_host_file, .value = "a path, relative to this file",
     .help = "A pattern a line; # begins a comment."},

    {"route", "source", LIST, .set = route_set_source, .value = "addresses, CIDRs or PRIVATE=PUBLIC",
     .help = "The addresses that connections leave from (at most 4096); PRIVATE=PUBLIC where a cloud maps them. Missing: "
             "whichever the kernel picks."},
    {"route", "pick", .type = OPTION_WORD, .words = "sticky round-robin", .fallback = "sticky", INTO(route, pick),
     .help = "sticky: a client keeps its source; round-robin: they take turns."},
    {"route", "interface", OWN, .set = route_set_interface, .value = "the name of an interface",
     .help = "Leaves by this interface only (SO_BINDTODEVICE)."},
    {"route", "mark", OWN, .set = route_set_mark, .value = "a number of 32 bits, decimal or 0x and hex digits",
     .help = "Marks its packets for the routing rules (SO_MARK)."},
    {"route", "resolver", LIST, .set = route_set_resolver, .value = "ADDRESS[:PORT]",
     .help = "Names on this route are asked here and nowhere else, by the route's own source, interface and mark."},
    {"route", "addresses", LIST, .set = route_set_addresses, .fallback = "public", .value = "public, any, or CIDRs",
     .help = "What a name may resolve to."},

    {"rule", "from", LIST, .set = rule_set_from, .value = "names of [clients]", .help = "The groups it is for; any group when missing."},
    {"rule", "to", LIST, .set = rule_set_to, .required = true, .value = "@LIST, names, *.name, addresses, CIDRs", .help = "Where it leads."},
    {"rule", "port", LIST, .set = rule_set_port, .fallback = "443", .value = "ports and ranges, 443 8000-8010", .help = "The ports it is for."},
    {"rule", "sni", .type = OPTION_WORD, .words = "match allowed any off", .fallback = "match", INTO(rule, sni),
     .help = "The name inside TLS: match: the same as asked for; allowed: one that policy allows; any: TLS with any name or none; "
             "off: TLS is not demanded."},
    {"rule", "ech", .type = OPTION_WORD, .words = "deny outer", .fallback = "deny", INTO(rule, ech),
     .help = "An encrypted ClientHello: deny it, or judge by its outer name."},
    {"rule", "action", .type = OPTION_WORD, .words = "deny allow observe", .fallback = "allow", INTO(rule, action),
     .help = "What becomes of what matches."},
    {"rule", "route", OWN, .set = rule_set_route, .value = "the name of a [route]",
     .help = "By which way; required where several routes are defined, not with deny."},
    {"rule", "expires", .type = OPTION_DAY, INTO(rule, expires_day), .help = "The last day, UTC; later the rule still matches, and denies."},
    {"rule", "owner", TEXT, INTO(rule, owner), .help = "Free text, shown by explain."},
    {"rule", "ticket", TEXT, INTO(rule, ticket), .help = "Free text, shown by explain."},
    {"rule", "note", TEXT, INTO(rule, note), .help = "Free text, shown by explain."},

    {"dns", "server", LIST, .set = dns_set_server, .value = "ADDRESS[:PORT]", .help = "The resolvers to ask; those of resolv.conf when missing."},
    {"dns", "hosts_file", OWN, .set = dns_set_hosts_file, .value = "a path, relative to this file",
     .help = "Names whose addresses stand in a file; none is read when missing."},
    {"dns", "min_ttl", .type = OPTION_DURATION, .max = HOURS(24), .fallback = "5s", INTO(dns_settings, min_ttl_ms),
     .help = "An answer is kept at least so long."},
    {"dns", "max_ttl", .type = OPTION_DURATION, .max = HOURS(168), .fallback = "1h", INTO(dns_settings, max_ttl_ms), .help = "And at most so long."},
    {"dns", "negative_ttl", .type = OPTION_DURATION, .max = HOURS(24), .fallback = "5s", INTO(dns_settings, negative_ttl_ms),
     .help = "How long it is kept that there is no answer."},
    {"dns", "timeout", .type = OPTION_DURATION, .min = 100, .max = SECONDS(60), .fallback = "5s", INTO(dns_settings, timeout_ms),
     .help = "For the whole question."},

    {"limits", "request_timeout", .type = OPTION_DURATION, .min = 100, .max = HOURS(1), .fallback = "10s", INTO(limit_settings, request_timeout_ms),
     .help = "For the whole head of a request."},
    {"limits", "hello_timeout", .type = OPTION_DURATION, .min = 100, .max = HOURS(1), .fallback = "10s", INTO(limit_settings, hello_timeout_ms),
     .help = "For the whole ClientHello."},
    {"limits", "connect_timeout", .type = OPTION_DURATION, .min = 100, .max = HOURS(1), .fallback = "10s", INTO(limit_settings, connect_timeout_ms),
     .help = "For the whole dial, all addresses."},
    {"limits", "request_head", .type = OPTION_SIZE, .min = 512, .max = KIB(1024), .fallback = "16K", INTO(limit_settings, request_head),
     .help = "The longest head of a request."},
    {"limits", "hello", .type = OPTION_SIZE, .min = KIB(1), .max = KIB(1024), .fallback = "64K", INTO(limit_settings, hello),
     .help = "The longest ClientHello."},
    {"limits", "tunnels", .type = OPTION_NUMBER, .words = "auto", .min = 1, .max = 10000000, .fallback = "auto", INTO(limit_settings, tunnels),
     .help = "How many tunnels may be open; auto: from the limit of open files."},
    {"limits", "tunnels_per_client", .type = OPTION_NUMBER, .max = 10000000, .fallback = "0", INTO(limit_settings, tunnels_per_client),
     .help = "How many tunnels one client may have, those on their way included; 0: half of tunnels."},
    {"limits", "refusals_per_client", .type = OPTION_NUMBER, .max = 10000000, .fallback = "0", INTO(limit_settings, refusals_per_client),
     .help = "How many refusals in 10 s one client hears at once; past them its refusals wait 1 s; 0: no limit."},
    {"limits", "idle_timeout", .type = OPTION_DURATION, .max = HOURS(24 * 365), .fallback = "0", INTO(limit_settings, idle_timeout_ms),
     .help = "A tunnel without a byte for so long is closed; 0: never."},
    {"limits", "keepalive", .type = OPTION_DURATION, .min = SECONDS(1), .max = HOURS(2), .fallback = "60s", INTO(limit_settings, keepalive_ms),
     .help = "TCP keepalive on both legs after so long; clouds drop idle flows silently after 240 to 350 s."},

    {"audit", "file", TEXT, .fallback = "-", .restart = true, INTO(audit_settings, file),
     .help = "Where the records go: a path, relative to this file; - is standard output."},
    {"audit", "on_failure", .type = OPTION_WORD, .words = "refuse continue", .fallback = "refuse", .restart = true,
     INTO(audit_settings, continue_on_failure), .help = "When records cannot be written: refuse new tunnels, or continue (a gap is counted and recorded)."},
    {"audit", "sync", .type = OPTION_WORD, .words = "none batch", .fallback = "none", .restart = true, INTO(audit_settings, sync_batch),
     .help = "none survives a crash of exeat; batch (fdatasync before tunnels open) survives power loss."},
    {"audit", "chain", .type = OPTION_WORD, .words = "yes no", .fallback = "yes", .restart = true, INTO(audit_settings, unchained),
     .help = "Each record carries the hash of all before it."},
    {"audit", "reserve", .type = OPTION_SIZE, .max = UINT64_MAX, .fallback = "256M", .restart = true, INTO(audit_settings, reserve),
     .help = "Below this much free space denials are only counted, so that allows and closes still fit."},
    {"audit", "sign_key", OWN, .set = audit_set_sign_key, .restart = true, .value = "a path, relative to this file",
     .help = "The private key (Ed25519, PEM) that signs checkpoints; none are written when missing."},
    {"audit", "checkpoint", OWN, .set = audit_set_checkpoint, .restart = true, .fallback = "1000 60s",
     .value = "records from 1 to 1000000 and a time from 1s to 1d, as in 1000 60s",
     .help = "A checkpoint is signed when so many records are unsigned, or the oldest of them has been so for so long."},

    {"admin", "listen", OWN, .restart = true, .set = admin_set_listen, .value = "unix:PATH, as unix:/run/exeat/admin.sock",
     .help = "The socket (mode 0660) where status, tunnels, rules and reloads are asked for; none when missing."},
    {"admin", "metrics", OWN, .restart = true, .set = admin_set_metrics, .value = "ADDRESS:PORT, IPv6 in brackets; port 0 picks one",
     .help = "Where metrics and health are asked for, and nothing else; nowhere when missing."},
    {"admin", "state", OWN, .restart = true, .set = admin_set_state, .value = "a path, relative to this file",
     .help = "The file that keeps what became of each rule over restarts; counted anew with each start when missing."},

    {"expect", "from", OWN, .set = expect_set_from, .required = true, .value = "the address of one client", .help = "Who asks."},
    {"expect", "allow", LIST, .set = expect_set_allow, .value = "HOST[:PORT]", .help = "What must be allowed."},
    {"expect", "deny", LIST, .set = expect_set_deny, .value = "HOST[:PORT]", .help = "What must be denied."},
};
/* clang-format on */

_Static_assert(sizeof(enum sni_demand) == sizeof(uint32_t) && sizeof(enum listener_mode) == sizeof(uint32_t), "words are stored as 32 bits");

const struct option_row *options_all(size_t *count)
{
    *count = sizeof(ROWS) / sizeof(ROWS[0]);
    return ROWS;
}

const struct option_row *options_find(const char *section, const char *key)
{
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        if (strcmp(ROWS[i].section, section) == 0 && strcmp(ROWS[i].key, key) == 0)
            return &ROWS[i];
    }
    return NULL;
}
