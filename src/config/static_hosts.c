/* [dns] hosts_file: names whose addresses stand in a file. */
#include "config/static_hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/array.h"
#include "config/config.h"

/* One name of one line. */
struct static_entry {
    char *name;
    struct address address;
    size_t number;
};

struct static_entries {
    struct static_entry *entries;
    size_t count;
};

static void static_hosts_add(const struct setting *line, struct static_entries *entries, const struct address *address, const char *word)
{
    char name[HOSTNAME_SIZE], fact[HOSTNAME_SIZE + ADDRESS_TEXT_MAX + 2], text[ADDRESS_TEXT_MAX];
    if (!hostname_read(name, word, strlen(word))) {
        setting_warn(line, "\"%.100s\" is not a name and is passed over", word);
        return;
    }
    struct static_entry *grown = setting_room(line, entries->entries, entries->count, sizeof(*grown));
    char *copy = grown ? strdup(name) : NULL;
    if (grown != NULL)
        entries->entries = grown;
    if (copy == NULL) {
        setting_no_memory(line);
        return;
    }
    grown[entries->count] = (struct static_entry){.name = copy, .address = *address, .number = entries->count};
    entries->count++;
    snprintf(fact, sizeof(fact), "%s %s", name, address_text(address, text));
    setting_fact(line, fact);
}

/* `ADDRESS NAME…` */
static void static_hosts_take_line(const struct setting *line, void *arg)
{
    struct address address;
    char *copy = strdup(line->text), *rest = NULL;
    const char *first = copy ? strtok_r(copy, " \t", &rest) : NULL;
    const char *word = first ? strtok_r(NULL, " \t", &rest) : NULL;
    if (copy == NULL)
        setting_no_memory(line);
    else if (first == NULL || strlen(line->text) != line->len || !address_read(&address, first, strlen(first)))
        setting_fault(line, "\"%.100s\" is not an address; allowed: ADDRESS NAME ...", line->text);
    else if (word == NULL)
        setting_fault(line, "%.100s has no name; allowed: ADDRESS NAME ...", first);
    else
        for (; word != NULL; word = strtok_r(NULL, " \t", &rest))
            static_hosts_add(line, arg, &address, word);
    free(copy);
}

static int static_hosts_compare(const void *left, const void *right)
{
    const struct static_entry *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    return order ? order : (a->number > b->number) - (a->number < b->number);
}

static bool static_hosts_has(const struct static_host *host, const struct address *address)
{
    for (size_t i = 0; i < host->address_count; i++) {
        if (address_equal(&host->addresses[i], address))
            return true;
    }
    return false;
}

static bool static_hosts_add_address(struct static_host *host, const struct address *address)
{
    if (static_hosts_has(host, address))
        return true;
    struct address *addresses = array_room(host->addresses, host->address_count, sizeof(*addresses));
    if (addresses == NULL)
        return false;
    host->addresses = addresses;
    addresses[host->address_count++] = *address;
    return true;
}

/* The host of this name, which is the last one when there is one: the entries come sorted. */
static struct static_host *static_hosts_last(struct dns_settings *dns, const char *name)
{
    if (dns->host_count > 0 && strcmp(dns->hosts[dns->host_count - 1].name, name) == 0)
        return &dns->hosts[dns->host_count - 1];
    struct static_host *hosts = array_room(dns->hosts, dns->host_count, sizeof(*hosts));
    if (hosts == NULL)
        return NULL;
    dns->hosts = hosts;
    snprintf(hosts[dns->host_count].name, sizeof(hosts->name), "%s", name);
    return &hosts[dns->host_count++];
}

void static_hosts_read(const struct setting *setting, struct dns_settings *dns)
{
    struct static_entries entries = {0};
    setting_read_file(setting, static_hosts_take_line, &entries);
    if (entries.count > 1)
        qsort(entries.entries, entries.count, sizeof(*entries.entries), static_hosts_compare);
    for (size_t i = 0; i < entries.count; i++) {
        struct static_host *host = static_hosts_last(dns, entries.entries[i].name);
        if (host == NULL || !static_hosts_add_address(host, &entries.entries[i].address))
            setting_no_memory(setting);
        free(entries.entries[i].name);
    }
    free(entries.entries);
}
