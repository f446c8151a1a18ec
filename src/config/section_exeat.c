/* [exeat]: the instance as a whole. */
#include "config/sections.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/suggestion.h"

void *exeat_begin(struct loader *loader, const struct section *section)
{
    (void)section;
    return &loader->exeat;
}

/* The document has read them already. */
void exeat_set_include(const struct setting *setting)
{
    (void)setting;
}

void exeat_set_peer(const struct setting *setting)
{
    char normal[NETWORK_TEXT_MAX];
    struct network network;
    if (!setting_read_network(setting, &network))
        return;
    if (!policy_add_never(setting->loader->config->policy, &network, 0))
        setting_no_memory(setting);
    setting_fact(setting, network_cidr_text(&network, normal));
}

static char *exeat_host_name(void)
{
    char name[256];
    if (gethostname(name, sizeof(name)) != 0 || name[0] == '\0')
        return strdup("exeat");
    name[sizeof(name) - 1] = '\0';
    return strdup(name);
}

/* Routes are known by now. */
static void exeat_find_observe_route(struct loader *loader, const struct section *section)
{
    struct exeat_settings *exeat = &loader->exeat;
    struct policy *policy = loader->config->policy;
    struct route *route = exeat->observe_route ? policy_find_route(policy, exeat->observe_route) : NULL;
    struct suggestion suggestion = {.asked = exeat->observe_route};
    char instead[SUGGESTION_ALLOWED_MAX];
    if (exeat->observe_route == NULL && exeat->observe)
        section_fault(loader, section, "observe_route", "is missing; mode = observe needs the name of a [route]");
    if (exeat->observe && route != NULL)
        policy_set_observe(policy, route);
    if (exeat->observe_route == NULL || route != NULL)
        return;
    for (size_t i = 0; i < policy_route_count(policy); i++)
        suggestion_offer(&suggestion, policy_route_at(policy, i)->name);
    section_fault(loader, section, "observe_route", "there is no [route %.60s]%s", exeat->observe_route, suggestion_or_allowed(&suggestion, instead));
}

void exeat_finish(struct loader *loader, const struct section *section, void *target)
{
    struct exeat_settings *exeat = target;
    struct config *config = loader->config;
    free(config->name);
    config->name = exeat->name ? strdup(exeat->name) : exeat_host_name();
    config->workers = exeat->workers;
    config->sandbox = exeat->sandbox;
    config->keep_revoked = exeat->keep_revoked;
    config->drain_delay_ms = exeat->drain_delay_ms;
    config->drain_timeout_ms = exeat->drain_timeout_ms;
    config->watch = exeat->watch;
    free(config->user);
    config->user = exeat->user ? strdup(exeat->user) : NULL;
    if (config->name == NULL || (config->user == NULL && exeat->user != NULL))
        section_fault(loader, section, "name", "out of memory");
    exeat_find_observe_route(loader, section);
}
