/* [clients NAME]: a group of clients by their networks. */
#include "config/sections.h"

#include "base/number.h"

#define QUOTA_MAX (UINT64_C(1) << 50)

void *clients_begin(struct loader *loader, const struct section *section)
{
    char at[PLACE_TEXT_MAX];
    return policy_add_group(loader->config->policy, section->name, place_text(section->file, section->line, at));
}

void clients_set_from(const struct setting *setting)
{
    struct group *group = setting->target;
    char normal[NETWORK_TEXT_MAX];
    struct network network;
    if (!setting_read_network(setting, &network))
        return;
    if (!network_set_add(group->from, &network))
        setting_no_memory(setting);
    setting_fact(setting, network_cidr_text(&network, normal));
}

static void clients_take_line(const struct setting *line, void *arg)
{
    (void)arg;
    clients_set_from(line);
}

void clients_set_from_file(const struct setting *setting)
{
    struct setting as_from = *setting;
    as_from.meaning = "from";
    setting_read_file(&as_from, clients_take_line, NULL);
}

static void clients_set_quota(const struct setting *setting, enum quota_way way)
{
    struct group *group = setting->target;
    struct rate rate;
    char normal[NUMBER_RATE_TEXT_MAX];
    if (!number_read_rate(&rate, setting->text, setting->len) || rate.amount > QUOTA_MAX) {
        setting_fault(setting, "\"%.100s\" is not allowed; allowed: %s", setting->text, setting->row->value);
        return;
    }
    group->quotas[way] = rate;
    setting_fact(setting, number_rate_text(&rate, normal));
}

void clients_set_upload(const struct setting *setting)
{
    clients_set_quota(setting, QUOTA_UPLOAD);
}

void clients_set_download(const struct setting *setting)
{
    clients_set_quota(setting, QUOTA_DOWNLOAD);
}

void clients_finish(struct loader *loader, const struct section *section, void *target)
{
    (void)target;
    if (!section_has(section, "from") && !section_has(section, "from_file"))
        section_fault(loader, section, "from", "is missing; allowed: CIDRs, or a from_file with a CIDR or address a line");
}
