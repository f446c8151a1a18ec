/* [expect NAME]: a test of the policy that stands beside it. */
#include "config/sections.h"

#include <string.h>

#include "config/array.h"
#include "config/target.h"

void *expect_begin(struct loader *loader, const struct section *section)
{
    struct config *config = loader->config;
    char at[PLACE_TEXT_MAX];
    struct expectation *expectations = array_room(config->expectations, config->expectation_count, sizeof(*expectations));
    if (expectations == NULL)
        return NULL;
    config->expectations = expectations;
    struct expectation *expectation = &expectations[config->expectation_count++];
    expectation->name = strdup(section->name);
    expectation->at = strdup(place_text(section->file, section->line, at));
    return expectation->name && expectation->at ? expectation : NULL;
}

void expect_set_from(const struct setting *setting)
{
    struct expectation *expectation = setting->target;
    char normal[ADDRESS_TEXT_MAX];
    if (!address_read(&expectation->from, setting->text, setting->len))
        setting_fault(setting, "\"%.100s\" is not an address; allowed: the address of one client", setting->text);
    else
        setting_fact(setting, address_text(&expectation->from, normal));
}

static void expect_add(const struct setting *setting, char ***targets, size_t *count)
{
    struct host host;
    uint16_t port;
    if (!target_read(setting->text, &host, &port)) {
        setting_fault(setting, "\"%.100s\" is not HOST or HOST:PORT; allowed: a name or address, IPv6 in brackets", setting->text);
        return;
    }
    char **grown = setting_room(setting, *targets, *count, sizeof(char *));
    if (grown == NULL)
        return;
    *targets = grown;
    grown[*count] = strdup(setting->text);
    if (grown[*count] == NULL)
        setting_no_memory(setting);
    else
        ++*count;
    setting_fact(setting, setting->text);
}

void expect_set_allow(const struct setting *setting)
{
    struct expectation *expectation = setting->target;
    expect_add(setting, &expectation->allow, &expectation->allow_count);
}

void expect_set_deny(const struct setting *setting)
{
    struct expectation *expectation = setting->target;
    expect_add(setting, &expectation->deny, &expectation->deny_count);
}

void expect_finish(struct loader *loader, const struct section *section, void *target)
{
    (void)target;
    if (!section_has(section, "allow") && !section_has(section, "deny"))
        section_fault(loader, section, "allow", "is missing, and so is deny; allowed: HOST[:PORT] ... in one or both");
}
