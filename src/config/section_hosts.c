/* [hosts NAME] and the built-in lists: host patterns that rules name as @NAME. */
#include "config/sections.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "config/hosts_builtin.h"
#include "config/lint_notes.h"
#include "config/suggestion.h"

void *hosts_begin(struct loader *loader, const struct section *section)
{
    char at[PLACE_TEXT_MAX];
    if (hosts_builtin_find(section->name) != NULL)
        section_fault(loader, section, NULL, "@%s is a built-in list; allowed: any other name (`exeat hosts` says which are taken)", section->name);
    struct host_list *list = policy_add_list(loader->config->policy, section->name, place_text(section->file, section->line, at));
    return list && lint_notes_add_list(loader->config->notes, list, LIST_OF_USER) ? list : NULL;
}

/* Without printf, which a million patterns would feel. */
static void hosts_tell_digest(const struct setting *setting, const struct pattern *pattern)
{
    char fact[HOSTNAME_SIZE + 2], network[NETWORK_TEXT_MAX];
    struct text text;
    text_init(&text, fact, sizeof(fact));
    text_add(&text, pattern->kind == PATTERN_BELOW ? "*." : "");
    text_add(&text, pattern->kind == PATTERN_NETWORK ? network_cidr_text(&pattern->network, network) : pattern->name);
    setting_fact(setting, fact);
}

void hosts_add_pattern(const struct setting *setting, struct host_list *list)
{
    struct pattern pattern;
    const char *why;
    if (!pattern_read(&pattern, setting->text, setting->len, &why)) {
        setting_network_fault(setting, &pattern.network, why);
        return;
    }
    if (!policy_list_add(setting->loader->config->policy, list, &pattern) ||
        !lint_notes_add_pattern(setting->loader->config->notes, list, &pattern, setting))
        setting_no_memory(setting);
    hosts_tell_digest(setting, &pattern);
}

void hosts_set_host(const struct setting *setting)
{
    hosts_add_pattern(setting, setting->target);
}

static void hosts_take_line(const struct setting *line, void *arg)
{
    hosts_add_pattern(line, arg);
}

void hosts_set_host_file(const struct setting *setting)
{
    struct setting as_host = *setting;
    as_host.meaning = "host";
    setting_read_file(&as_host, hosts_take_line, setting->target);
}

void hosts_finish(struct loader *loader, const struct section *section, void *target)
{
    (void)target;
    if (!section_has(section, "host") && !section_has(section, "host_file"))
        section_fault(loader, section, "host", "is missing; allowed: patterns, or a host_file with a pattern a line");
}

static struct host_list *hosts_add_builtin(const struct setting *setting, const struct embedded_file *file)
{
    char path[64], title[64];
    struct loader *loader = setting->loader;
    snprintf(path, sizeof(path), "%.50s.hosts", file->name);
    snprintf(title, sizeof(title), "hosts %.50s", file->name);
    struct section section = *setting->section;
    section.title = title;
    struct setting inner = *setting;
    inner.section = &section;
    inner.file = path;
    inner.meaning = "host";
    struct host_list *list = policy_add_list(loader->config->policy, file->name, path);
    if (list == NULL || !lint_notes_add_list(loader->config->notes, list, LIST_BUILT_IN)) {
        setting_no_memory(setting);
        return NULL;
    }
    setting_read_lines(&inner, file->bytes, file->len, hosts_take_line, list);
    return list;
}

static void hosts_unknown(const struct setting *setting, const char *name)
{
    char instead[SUGGESTION_ALLOWED_MAX];
    struct suggestion suggestion = {.asked = name};
    const struct document *document = &setting->loader->document;
    for (size_t i = 0; i < document->count; i++) {
        if (strcmp(document->sections[i].kind, "hosts") == 0)
            suggestion_offer(&suggestion, document->sections[i].name);
    }
    for (const struct embedded_file *file = HOSTS_BUILTIN; file->name != NULL; file++)
        suggestion_offer(&suggestion, file->name);
    setting_fault(setting, "there is no list @%.60s, neither a [hosts] section nor built in%s", name, suggestion_or_allowed(&suggestion, instead));
}

struct host_list *hosts_find(const struct setting *setting, const char *name)
{
    struct host_list *list = policy_find_list(setting->loader->config->policy, name);
    const struct embedded_file *file = list ? NULL : hosts_builtin_find(name);
    if (file != NULL)
        return hosts_add_builtin(setting, file);
    if (list == NULL)
        hosts_unknown(setting, name);
    return list;
}
