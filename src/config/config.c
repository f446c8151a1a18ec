/* The whole configuration as one immutable snapshot: built, shared, freed. */
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config/digest.h"
#include "config/lint_notes.h"
#include "config/loader.h"
#include "config/local_addresses.h"
#include "config/never.h"

static void config_free_listeners(struct config *config)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        free(config->listeners[i].name);
        free(config->listeners[i].at);
        free(config->listeners[i].addresses);
        network_set_free(config->listeners[i].trusted);
    }
    free(config->listeners);
    config->listeners = NULL;
    config->listener_count = 0;
}

static void config_free_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

static void config_free_expectations(struct config *config)
{
    for (size_t i = 0; i < config->expectation_count; i++) {
        struct expectation *expectation = &config->expectations[i];
        free(expectation->name);
        free(expectation->at);
        config_free_texts(expectation->allow, expectation->allow_count);
        config_free_texts(expectation->deny, expectation->deny_count);
    }
    free(config->expectations);
}

static void config_free_hosts(struct dns_settings *dns)
{
    for (size_t i = 0; i < dns->host_count; i++)
        free(dns->hosts[i].addresses);
    free(dns->hosts);
    dns->hosts = NULL;
    dns->host_count = 0;
}

static void config_free(struct config *config)
{
    config_free_listeners(config);
    config_free_expectations(config);
    config_free_hosts(&config->dns);
    free(config->dns.servers);
    free(config->audit.file);
    free(config->audit.sign_key);
    free(config->audit.sign_key_at);
    free(config->admin.socket);
    free(config->admin.state);
    free(config->name);
    free(config->user);
    policy_free(config->policy);
    lint_notes_free(config->notes);
    free(config);
}

static struct config *config_new(bool noting)
{
    struct config *config = calloc(1, sizeof(*config));
    if (config == NULL)
        return NULL;
    config->judges = config->holders = 1;
    config->policy = policy_new();
    config->notes = noting ? lint_notes_new() : NULL;
    if (config->policy != NULL && (config->notes != NULL || !noting))
        return config;
    config_free(config);
    return NULL;
}

static bool config_never_host(struct config *config)
{
    struct local_addresses local;
    bool fine = local_addresses_read(&local) && never_add_host(config->policy, &local);
    local_addresses_fini(&local);
    return fine;
}

static bool config_never_listeners(struct config *config)
{
    bool fine = true;
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct listener *listener = &config->listeners[i];
        for (size_t j = 0; fine && j < listener->address_count; j++)
            fine = config_never_listener(config, &listener->addresses[j]);
    }
    return fine && (!address_is_set(&config->admin.metrics.ip) || config_never_listener(config, &config->admin.metrics));
}

static bool config_has_transparent(const struct config *config)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        if (listener_is_transparent(&config->listeners[i]))
            return true;
    }
    return false;
}

/* As whoever judged the bundle has it, or found out here. */
static bool config_take_digest(struct loader *loader)
{
    char *digest = loader->config->digest;
    const char *judged = bundle_digest(loader->bundle);
    if (judged != NULL)
        return text_copy(digest, CONFIG_DIGEST_SIZE, judged, strlen(judged));
    return digest_finish(loader->digest, digest) && bundle_set_digest(loader->bundle, digest);
}

/* What no section can say by itself. */
static void config_complete(struct loader *loader, const char *path)
{
    struct config *config = loader->config;
    if (config->listener_count == 0)
        fault_add(loader->faults, path, NULL, NULL, "nothing to listen on; required is a [listen NAME] with an address");
    config->transparent = config_has_transparent(config);
    for (size_t i = 0; i < config->listener_count; i++)
        config->listeners[i].config = config;
    if (!config_never_listeners(config) || (config->transparent && !config_never_host(config))) /* the routes' sources are known by now */
        fault_add(loader->faults, path, NULL, NULL, "out of memory, or this host's own addresses cannot be listed");
    if (!policy_seal(config->policy) || !config_take_digest(loader))
        fault_add(loader->faults, path, NULL, NULL, "out of memory");
}

static void config_build(struct loader *loader, const char *path)
{
    document_read(&loader->document, loader->bundle, path, loader->faults);
    /* Of what could not be read at all there is nothing more to say. */
    if (loader->document.files.count == 0 || (loader->document.count == 0 && fault_count(loader->faults) > 0))
        return;
    sections_apply(loader);
    config_complete(loader, path);
}

/* As far as it can be read; NULL: out of memory. */
static struct config *config_read(struct bundle *bundle, const char *path, struct fault_list *faults, const struct fact_taker *taker)
{
    const bool judged = bundle_digest(bundle) != NULL;
    struct loader loader = {.bundle = bundle, .faults = faults, .taker = taker};
    loader.config = config_new(!judged);
    loader.digest = judged ? NULL : digest_new();
    if (loader.config != NULL && (loader.digest != NULL || judged))
        config_build(&loader, path);
    else
        fault_add(faults, path, NULL, NULL, "out of memory");
    document_fini(&loader.document);
    digest_free(loader.digest);
    free(loader.exeat.name);
    free(loader.exeat.user);
    free(loader.exeat.observe_route);
    return loader.config;
}

struct config *config_load(struct bundle *bundle, const char *path, struct fault_list *faults)
{
    return config_load_facts(bundle, path, faults, NULL);
}

struct config *config_load_facts(struct bundle *bundle, const char *path, struct fault_list *faults, const struct fact_taker *taker)
{
    const size_t before = fault_count(faults);
    struct config *config = config_read(bundle, path, faults, taker);
    if (fault_count(faults) == before)
        return config;
    config_unref(config);
    return NULL;
}

char *config_find_socket(struct bundle *bundle, const char *path, struct fault_list *faults)
{
    struct config *config = config_read(bundle, path, faults, NULL);
    char *socket = NULL;
    if (config != NULL) {
        socket = config->admin.socket;
        config->admin.socket = NULL;
    }
    config_unref(config);
    return socket;
}

bool config_never_listener(struct config *config, const struct endpoint *bound)
{
    struct local_addresses local = {0};
    if (address_is_any(&bound->ip) && !local_addresses_read(&local))
        return false;
    bool fine = never_add_listener(config->policy, bound, &local);
    local_addresses_fini(&local);
    return fine;
}

bool config_set_listen(struct config *config, const struct endpoint *address)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    if (listener == NULL)
        return false;
    config_free_listeners(config);
    config->listeners = listener;
    config->listener_count = 1;
    config->transparent = false; /* what is never dialled for the listeners of the file stays so: rather too much than too little */
    listener->config = config;
    listener->name = strdup("command-line");
    listener->at = strdup("--listen");
    listener->addresses = malloc(sizeof(*address));
    if (listener->name == NULL || listener->at == NULL || listener->addresses == NULL)
        return false;
    listener->addresses[0] = *address;
    listener->address_count = 1;
    return config_never_listener(config, address);
}

bool config_set_instance(struct config *config, const char *name, bool continue_on_failure)
{
    char *copy = strdup(name);
    if (copy == NULL)
        return false;
    free(config->name);
    config->name = copy;
    config->audit.continue_on_failure = continue_on_failure;
    return true;
}

static char *config_copy(const char *text, bool *fine)
{
    char *copy = text != NULL ? strdup(text) : NULL;
    *fine = *fine && (copy != NULL || text == NULL);
    return copy;
}

bool config_keep(struct config *config, const struct config *now)
{
    bool fine = true;
    free(config->name);
    free(config->audit.file);
    free(config->audit.sign_key);
    free(config->audit.sign_key_at);
    free(config->admin.socket);
    free(config->admin.state);
    free(config->user);
    config->name = config_copy(now->name, &fine);
    config->workers = now->workers;
    config->user = config_copy(now->user, &fine);
    config->sandbox = now->sandbox;
    config->admin = now->admin;
    config->admin.socket = config_copy(now->admin.socket, &fine);
    config->admin.state = config_copy(now->admin.state, &fine);
    config->audit = now->audit;
    config->audit.file = config_copy(now->audit.file, &fine);
    config->audit.sign_key = config_copy(now->audit.sign_key, &fine);
    config->audit.sign_key_at = config_copy(now->audit.sign_key_at, &fine);
    return fine;
}

struct config *config_ref(struct config *config)
{
    __atomic_add_fetch(&config->judges, 1, __ATOMIC_RELAXED);
    return config;
}

static void config_drop(struct config *config, unsigned *count)
{
    if (__atomic_sub_fetch(count, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    if (config->last != NULL)
        config->last(config->last_arg, config);
    else
        config_settle(config);
}

void config_unref(struct config *config)
{
    if (config != NULL)
        config_drop(config, &config->judges);
}

struct config *config_hold(struct config *config)
{
    __atomic_add_fetch(&config->holders, 1, __ATOMIC_RELAXED);
    return config;
}

void config_release(struct config *config)
{
    config_drop(config, &config->holders);
}

/* Who judged by it held it: so the second time, when that is over too, comes after the first. */
void config_settle(struct config *config)
{
    if (config->shed) {
        config_free(config);
        return;
    }
    config->shed = true;
    if (config->policy != NULL)
        policy_shed(config->policy);
    config_free_hosts(&config->dns);
    config_release(config);
}

void config_drop_policy(struct config *config)
{
    policy_free(config->policy);
    lint_notes_free(config->notes);
    config->policy = NULL;
    config->notes = NULL;
}

void config_on_last(struct config *config, void (*last)(void *arg, struct config *config), void *arg)
{
    config->last = last;
    config->last_arg = arg;
}

static int config_compare_host(const void *name, const void *host)
{
    return strcmp(name, ((const struct static_host *)host)->name);
}

const struct static_host *config_static_host(const struct config *config, const char *name)
{
    if (config->dns.host_count == 0)
        return NULL;
    return bsearch(name, config->dns.hosts, config->dns.host_count, sizeof(*config->dns.hosts), config_compare_host);
}

bool listener_is_transparent(const struct listener *listener)
{
    return listener->mode != LISTENER_CONNECT;
}

const char *listener_mode_text(enum listener_mode mode)
{
    static const char *const WORDS[] = {[LISTENER_CONNECT] = "connect", [LISTENER_REDIRECT] = "redirect", [LISTENER_TPROXY] = "tproxy"};
    return WORDS[mode];
}

const struct listener *listener_ref(const struct listener *listener)
{
    config_hold(listener->config);
    return listener;
}

void listener_unref(const struct listener *listener)
{
    config_release(listener->config);
}
