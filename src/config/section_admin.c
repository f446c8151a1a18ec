/* [admin]: the doors through which exeat is watched. */
#include "config/sections.h"

#include <stdlib.h>
#include <string.h>

#include "config/path.h"

#define UNIX_PREFIX "unix:"

void *admin_begin(struct loader *loader, const struct section *section)
{
    (void)section;
    return &loader->config->admin;
}

void admin_set_listen(const struct setting *setting)
{
    struct admin_settings *admin = setting->target;
    const size_t prefix = strlen(UNIX_PREFIX);
    if (strncmp(setting->text, UNIX_PREFIX, prefix) != 0 || setting->len == prefix) {
        setting_fault(setting, "\"%.100s\" is not allowed; allowed: %s", setting->text, setting->row->value);
        return;
    }
    char *path = path_beside(setting->file, setting->text + prefix);
    if (path == NULL) {
        setting_no_memory(setting);
    } else if (strlen(path) >= ADMIN_SOCKET_MAX) {
        setting_fault(setting, "the path of a socket has room for %d bytes, and \"%.200s\" has %zu", ADMIN_SOCKET_MAX - 1, path, strlen(path));
        free(path);
    } else {
        free(admin->socket);
        admin->socket = path;
        setting_fact(setting, setting->text);
    }
}

static const struct listener *admin_find_taken(const struct config *config, const struct endpoint *metrics)
{
    for (size_t i = 0; i < config->listener_count && metrics->port != 0; i++) {
        for (size_t j = 0; j < config->listeners[i].address_count; j++) {
            if (endpoint_equal(&config->listeners[i].addresses[j], metrics))
                return &config->listeners[i];
        }
    }
    return NULL;
}

void admin_set_metrics(const struct setting *setting)
{
    struct admin_settings *admin = setting->target;
    struct endpoint metrics;
    char normal[ENDPOINT_TEXT_MAX];
    if (!endpoint_read(&metrics, setting->text, setting->len)) {
        setting_fault(setting, "\"%.100s\" is not an address with a port; allowed: 127.0.0.1:9128, [2001:db8::1]:9128", setting->text);
        return;
    }
    if (address_unmap(&metrics.ip, &metrics.ip)) {
        setting_fault(setting, "%.100s is IPv4 inside IPv6; allowed: %s", setting->text, endpoint_text(&metrics, normal));
        return;
    }
    const struct listener *taken = admin_find_taken(setting->loader->config, &metrics);
    if (taken != NULL) {
        setting_fault(setting, "%s is an address of [listen %s] already", endpoint_text(&metrics, normal), taken->name);
        return;
    }
    admin->metrics = metrics;
    setting_fact(setting, endpoint_text(&metrics, normal));
}

void admin_set_state(const struct setting *setting)
{
    struct admin_settings *admin = setting->target;
    if (setting->len > OPTION_TEXT_MAX) {
        setting_fault(setting, "too long; allowed: up to %d bytes", OPTION_TEXT_MAX);
        return;
    }
    free(admin->state);
    admin->state = path_beside(setting->file, setting->text);
    if (admin->state == NULL)
        setting_no_memory(setting);
    setting_fact(setting, setting->text);
}
