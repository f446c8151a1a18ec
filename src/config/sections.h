/* The kinds of sections: where their values go, and what each of their options does that a table cannot say. */
#ifndef EXEAT_CONFIG_SECTIONS_H
#define EXEAT_CONFIG_SECTIONS_H

#include "config/loader.h"
#include "config/setting.h"

/* `begin` gives the struct into which the section's options go (NULL: out of memory), `finish` looks at the whole when all of them are in. */
struct section_kind {
    const char *kind;
    bool named;
    void *(*begin)(struct loader *loader, const struct section *section);
    void (*finish)(struct loader *loader, const struct section *section, void *target);
};

/* Puts the section's entries into the struct that `begin` gives, says every fault, and what the section means to the digest. */
void section_read(struct loader *loader, const struct section_kind *kind, const struct section *section);

/* section_exeat.c */
void *exeat_begin(struct loader *loader, const struct section *section);
void exeat_finish(struct loader *loader, const struct section *section, void *target);
void exeat_set_include(const struct setting *setting);
void exeat_set_peer(const struct setting *setting);

/* section_audit.c */
void *audit_begin(struct loader *loader, const struct section *section);
void audit_finish(struct loader *loader, const struct section *section, void *target);
void audit_set_sign_key(const struct setting *setting);
void audit_set_checkpoint(const struct setting *setting);

/* section_plain.c: whose options need no more than the table */
void *limits_begin(struct loader *loader, const struct section *section);

/* section_admin.c */
void *admin_begin(struct loader *loader, const struct section *section);
void admin_set_listen(const struct setting *setting);
void admin_set_metrics(const struct setting *setting);
void admin_set_state(const struct setting *setting);

/* section_listen.c */
void *listen_begin(struct loader *loader, const struct section *section);
void listen_finish(struct loader *loader, const struct section *section, void *target);
void listen_set_address(const struct setting *setting);
void listen_set_trusted(const struct setting *setting);

/* section_clients.c */
void *clients_begin(struct loader *loader, const struct section *section);
void clients_finish(struct loader *loader, const struct section *section, void *target);
void clients_set_from(const struct setting *setting);
void clients_set_from_file(const struct setting *setting);
void clients_set_upload(const struct setting *setting);
void clients_set_download(const struct setting *setting);

/* section_hosts.c */
void *hosts_begin(struct loader *loader, const struct section *section);
void hosts_finish(struct loader *loader, const struct section *section, void *target);
void hosts_set_host(const struct setting *setting);
void hosts_set_host_file(const struct setting *setting);
/* Adds the setting's text as a pattern to the list. */
void hosts_add_pattern(const struct setting *setting, struct host_list *list);
/* The list of that name, the built-in one made known when it is first asked for; NULL after a fault. */
struct host_list *hosts_find(const struct setting *setting, const char *name);

/* section_route.c */
void *route_begin(struct loader *loader, const struct section *section);
void route_set_source(const struct setting *setting);
void route_set_interface(const struct setting *setting);
void route_set_mark(const struct setting *setting);
void route_set_resolver(const struct setting *setting);
void route_set_addresses(const struct setting *setting);

/* section_rule.c */
void *rule_begin(struct loader *loader, const struct section *section);
void rule_finish(struct loader *loader, const struct section *section, void *target);
void rule_set_from(const struct setting *setting);
void rule_set_to(const struct setting *setting);
void rule_set_port(const struct setting *setting);
void rule_set_route(const struct setting *setting);

/* section_dns.c */
void *dns_begin(struct loader *loader, const struct section *section);
void dns_finish(struct loader *loader, const struct section *section, void *target);
void dns_set_server(const struct setting *setting);
void dns_set_hosts_file(const struct setting *setting);
/* A resolver's ADDRESS[:PORT], appended to an array that keeps its order. */
void dns_add_server(const struct setting *setting, struct endpoint **servers, size_t *count);

/* section_expect.c */
void *expect_begin(struct loader *loader, const struct section *section);
void expect_finish(struct loader *loader, const struct section *section, void *target);
void expect_set_from(const struct setting *setting);
void expect_set_allow(const struct setting *setting);
void expect_set_deny(const struct setting *setting);

#endif
