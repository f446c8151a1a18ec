/* [route NAME]: a way out. */
#include "config/sections.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

#define ROUTE_SOURCES_MAX 4096

void *route_begin(struct loader *loader, const struct section *section)
{
    char at[PLACE_TEXT_MAX];
    loader->addresses_word = NULL;
    return policy_add_route(loader->config->policy, section->name, place_text(section->file, section->line, at));
}

/* Only what some host can have as its own. */
static bool route_is_source(const struct address *address)
{
    struct address v4;
    bool multicast = address->family == FAMILY_V4 ? address->bytes[0] >= 224 : address->bytes[0] == 0xff;
    return !multicast && !address_is_any(address) && !address_unmap(&v4, address);
}

static bool route_has_source(const struct route *route, size_t count, const struct address *local)
{
    for (size_t i = 0; i < count; i++) {
        if (address_equal(&route->sources[i].local, local))
            return true;
    }
    return false;
}

/* `before` sources came before this CIDR, which holds none twice. False when there is no use in going on with it. */
static bool route_add_source(const struct setting *setting, size_t before, const struct address *local, const struct address *public_ip)
{
    struct route *route = setting->target;
    char text[ADDRESS_TEXT_MAX], mapped[ADDRESS_TEXT_MAX], fact[2 * ADDRESS_TEXT_MAX + 32];
    address_text(local, text);
    if (!route_is_source(local) || !route_is_source(public_ip)) {
        setting_fault(setting, "%.100s: no host can send from there; allowed: unicast addresses", setting->text);
        return false;
    }
    if (route_has_source(route, before, local)) {
        setting_fault(setting, "%s stands twice among the sources", text);
        return false;
    }
    if (route->source_count >= ROUTE_SOURCES_MAX) {
        setting_fault(setting, "%.100s: more than %d addresses in one route", setting->text, ROUTE_SOURCES_MAX);
        return false;
    }
    struct source *sources = setting_room(setting, route->sources, route->source_count, sizeof(*sources));
    if (sources == NULL)
        return false;
    route->sources = sources;
    snprintf(fact, sizeof(fact), "%zu %s %s", route->source_count, text, address_text(public_ip, mapped)); /* the order matters to sticky clients */
    sources[route->source_count++] = (struct source){.local = *local, .public_ip = *public_ip};
    setting_fact(setting, fact);
    return true;
}

/* PRIVATE=PUBLIC, as a cloud maps them. */
static void route_set_mapped(const struct setting *setting, const char *equals)
{
    const struct route *route = setting->target;
    struct address local, public_ip;
    if (!address_read(&local, setting->text, (size_t)(equals - setting->text)) || !address_read(&public_ip, equals + 1, strlen(equals + 1)) ||
        local.family != public_ip.family)
        setting_fault(setting, "\"%.100s\" is not PRIVATE=PUBLIC; allowed: two addresses of one family, such as 10.0.1.10=203.0.113.17",
                      setting->text);
    else
        route_add_source(setting, route->source_count, &local, &public_ip);
}

static void route_next_address(struct address *address)
{
    size_t at = address_size(address);
    while (at > 0 && ++address->bytes[at - 1] == 0)
        at--;
}

void route_set_source(const struct setting *setting)
{
    const struct route *route = setting->target;
    const char *equals = strchr(setting->text, '=');
    struct network network;
    if (equals != NULL) {
        route_set_mapped(setting, equals);
        return;
    }
    if (!setting_read_network(setting, &network))
        return;
    size_t bits = 8 * address_size(&network.base) - network.prefix;
    if (bits > 12) {
        setting_fault(setting, "%.100s: more than %d addresses in one route", setting->text, ROUTE_SOURCES_MAX);
        return;
    }
    struct address address = network.base;
    size_t before = route->source_count;
    for (size_t left = (size_t)1 << bits; left > 0 && route_add_source(setting, before, &address, &address); left--)
        route_next_address(&address);
}

void route_set_interface(const struct setting *setting)
{
    struct route *route = setting->target;
    bool dots = strcmp(setting->text, ".") == 0 || strcmp(setting->text, "..") == 0;
    if (setting->len >= IFNAMSIZ || dots || strpbrk(setting->text, "/: \t") != NULL) {
        setting_fault(setting, "\"%.100s\" is not the name of an interface; allowed: up to %d characters without / and :", setting->text,
                      IFNAMSIZ - 1);
        return;
    }
    free(route->interface);
    route->interface = strdup(setting->text);
    if (route->interface == NULL)
        setting_no_memory(setting);
    setting_fact(setting, setting->text);
}

static bool route_read_hex(uint64_t *out, const char *text, size_t len)
{
    if (len < 3 || len > 10 || text[0] != '0' || text[1] != 'x' || strspn(text + 2, "0123456789abcdefABCDEF") != len - 2)
        return false;
    *out = strtoull(text + 2, NULL, 16);
    return true;
}

void route_set_mark(const struct setting *setting)
{
    struct route *route = setting->target;
    uint64_t mark;
    char fact[32];
    if (!number_read(&mark, setting->text, setting->len, UINT32_MAX) && !route_read_hex(&mark, setting->text, setting->len)) {
        setting_fault(setting, "\"%.100s\" is not allowed; allowed: a number of 32 bits, decimal or 0x and hex digits", setting->text);
        return;
    }
    route->mark = (uint32_t)mark;
    snprintf(fact, sizeof(fact), "%u", (unsigned)route->mark);
    setting_fact(setting, fact);
}

void route_set_resolver(const struct setting *setting)
{
    struct route *route = setting->target;
    dns_add_server(setting, &route->resolvers, &route->resolver_count);
}

static void route_list_address(const struct setting *setting, struct route *route)
{
    char normal[NETWORK_TEXT_MAX];
    struct network network;
    if (!setting_read_network(setting, &network))
        return;
    if (!network_set_add(route->listed, &network)) {
        setting_no_memory(setting);
        return;
    }
    route->addresses = ADDRESSES_LISTED;
    setting_fact(setting, network_cidr_text(&network, normal));
}

static void route_take_word(const struct setting *setting, struct route *route, const char *word)
{
    setting->loader->addresses_word = word;
    route->addresses = strcmp(word, "any") == 0 ? ADDRESSES_ANY : ADDRESSES_PUBLIC;
    setting_fact(setting, word);
}

/* `public` or `any` stand alone: beside a list, one of both would mean nothing. */
void route_set_addresses(const struct setting *setting)
{
    struct route *route = setting->target;
    bool any = strcmp(setting->text, "any") == 0, word = any || strcmp(setting->text, "public") == 0;
    if (setting->loader->addresses_word != NULL || (word && network_set_count(route->listed) > 0))
        setting_fault(setting, "%.100s cannot stand beside what is given already; allowed: public alone, any alone, or CIDRs", setting->text);
    else if (word)
        route_take_word(setting, route, any ? "any" : "public");
    else
        route_list_address(setting, route);
}
