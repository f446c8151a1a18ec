/* [dns]: who resolves names. */
#include "config/sections.h"

#include <stdio.h>

#include "config/static_hosts.h"

#define DNS_PORT 53
#define DNS_SERVERS_MAX 16

void *dns_begin(struct loader *loader, const struct section *section)
{
    (void)section;
    return &loader->config->dns;
}

static bool dns_read_server(const struct setting *setting, struct endpoint *server)
{
    if (endpoint_read(server, setting->text, setting->len))
        return server->port != 0 && !address_is_any(&server->ip);
    server->port = DNS_PORT;
    return address_read(&server->ip, setting->text, setting->len) && !address_is_any(&server->ip);
}

void dns_add_server(const struct setting *setting, struct endpoint **servers, size_t *count)
{
    struct endpoint server;
    char text[ENDPOINT_TEXT_MAX], fact[ENDPOINT_TEXT_MAX + 8];
    if (!dns_read_server(setting, &server)) {
        setting_fault(setting, "\"%.100s\" is not a resolver; allowed: 192.0.2.53, 192.0.2.53:5353, 2001:db8::53, [2001:db8::53]:5353",
                      setting->text);
        return;
    }
    if (*count >= DNS_SERVERS_MAX) {
        setting_fault(setting, "more than %d resolvers", DNS_SERVERS_MAX);
        return;
    }
    struct endpoint *grown = setting_room(setting, *servers, *count, sizeof(*grown));
    if (grown == NULL)
        return;
    *servers = grown;
    snprintf(fact, sizeof(fact), "%zu %s", *count, endpoint_text(&server, text)); /* they are asked in this order */
    grown[(*count)++] = server;
    setting_fact(setting, fact);
}

void dns_set_server(const struct setting *setting)
{
    struct dns_settings *dns = setting->target;
    dns_add_server(setting, &dns->servers, &dns->server_count);
}

void dns_set_hosts_file(const struct setting *setting)
{
    static_hosts_read(setting, setting->target);
}

void dns_finish(struct loader *loader, const struct section *section, void *target)
{
    const struct dns_settings *dns = target;
    if (dns->min_ttl_ms > dns->max_ttl_ms)
        section_fault(loader, section, "min_ttl", "is more than max_ttl");
}
