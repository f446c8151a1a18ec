/* [listen NAME]: where clients come in. */
#include "config/sections.h"

#include <string.h>

#include "config/array.h"

void *listen_begin(struct loader *loader, const struct section *section)
{
    struct config *config = loader->config;
    char at[PLACE_TEXT_MAX];
    struct listener *listeners = array_room(config->listeners, config->listener_count, sizeof(*listeners));
    if (listeners == NULL)
        return NULL;
    config->listeners = listeners;
    struct listener *listener = &listeners[config->listener_count++];
    listener->name = strdup(section->name);
    listener->at = strdup(place_text(section->file, section->line, at));
    return listener->name && listener->at ? listener : NULL;
}

/* Port 0 takes a free one each time; any other can be had once. */
static const struct listener *listen_find_taken(const struct config *config, const struct endpoint *endpoint)
{
    for (size_t i = 0; i < config->listener_count && endpoint->port != 0; i++) {
        for (size_t j = 0; j < config->listeners[i].address_count; j++) {
            if (endpoint_equal(&config->listeners[i].addresses[j], endpoint))
                return &config->listeners[i];
        }
    }
    return NULL;
}

void listen_set_address(const struct setting *setting)
{
    struct listener *listener = setting->target;
    struct endpoint endpoint;
    char normal[ENDPOINT_TEXT_MAX];
    if (!endpoint_read(&endpoint, setting->text, setting->len)) {
        setting_fault(setting, "\"%.100s\" is not an address with a port; allowed: 192.0.2.1:3128, 0.0.0.0:3128, [2001:db8::1]:3128", setting->text);
        return;
    }
    if (address_unmap(&endpoint.ip, &endpoint.ip)) {
        setting_fault(setting, "%.100s is IPv4 inside IPv6; allowed: %s", setting->text, endpoint_text(&endpoint, normal));
        return;
    }
    const struct listener *taken = listen_find_taken(setting->loader->config, &endpoint);
    if (taken != NULL) {
        setting_fault(setting, "%s is an address of [listen %s] already", endpoint_text(&endpoint, normal), taken->name);
        return;
    }
    struct endpoint *addresses = setting_room(setting, listener->addresses, listener->address_count, sizeof(*addresses));
    if (addresses == NULL)
        return;
    listener->addresses = addresses;
    addresses[listener->address_count++] = endpoint;
    setting_fact(setting, endpoint_text(&endpoint, normal));
}

void listen_set_trusted(const struct setting *setting)
{
    struct listener *listener = setting->target;
    char normal[NETWORK_TEXT_MAX];
    struct network network;
    if (!setting_read_network(setting, &network))
        return;
    if (listener->trusted == NULL)
        listener->trusted = network_set_new();
    if (listener->trusted == NULL || !network_set_add(listener->trusted, &network)) {
        setting_no_memory(setting);
        return;
    }
    network_cidr_text(&network, normal);
    if (network.prefix == 0)
        setting_warn(setting, "%s holds everybody, and whoever connects could say that he is somebody else", normal);
    setting_fact(setting, normal);
}

/* Whether it is off in the eyes of whoever wrote the file: a word that is not allowed is a fault of its own. */
static bool listen_has_no_header(const struct section *section)
{
    return !section_has(section, "proxy_protocol") || section_says(section, "proxy_protocol", "off");
}

void listen_finish(struct loader *loader, const struct section *section, void *target)
{
    const struct listener *listener = target;
    bool trusts = section_has(section, "trusted");
    if (listener->proxy_protocol && listener_is_transparent(listener))
        section_fault(loader, section, "proxy_protocol", "required cannot stand beside mode = %s, whose clients the network brings; allowed: off",
                      listener_mode_text(listener->mode));
    if (listener->proxy_protocol && !trusts)
        section_fault(loader, section, "trusted", "is missing; proxy_protocol = required needs the CIDRs of the load balancers");
    if (trusts && listen_has_no_header(section))
        section_fault(loader, section, "trusted", "does nothing without proxy_protocol = required; allowed: to leave it out");
    if (listener->trusted != NULL && !network_set_seal(listener->trusted))
        section_fault(loader, section, "trusted", "out of memory");
}
