/* `exeat env`: what to set on an agent so that its builds go through this configuration's listener. */
#include "cli/command.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "cli/load.h"
#include "policy/hostname.h"

static const char ENV_USAGE[] = "usage: exeat env [-c FILE] [--format FORMAT]\n"
                                "\n"
                                "Prints HTTPS_PROXY, https_proxy, NO_PROXY and no_proxy for the first address of the first\n"
                                "listener with `mode = connect` that is not behind a load balancer (`proxy_protocol = off`).\n"
                                "One that listens on every address is called by the configuration's [exeat] name, which is\n"
                                "the host's name unless given.\n"
                                "\n"
                                "  -c, --config FILE    the configuration; without it the built-in default\n"
                                "      --format FORMAT  sh (default), systemd: a drop-in for the agent's unit, docker: the\n"
                                "                       client's config.json, or agent-hook: an environment hook\n"
                                "  -h, --help           this text\n";

/* What must never pass a proxy: this host, and the metadata endpoints, which exeat denies. Plain names, addresses and `.suffix` are what every client
 * understands: no CIDR, no `*.`, no port, no blank. Names on a VPN route are not here: they go through exeat too. */
static const char ENV_NO_PROXY[] =
    "localhost,127.0.0.1,::1,169.254.169.254,169.254.170.2,169.254.170.23,fd00:ec2::254,fd00:ec2::23,metadata.google.internal";

#define ENV_URL_SIZE (HOSTNAME_SIZE + 32)

struct env_format {
    const char *name;
    void (*print)(const char *url);
};

/* Who connects to it directly is served by it. */
static bool env_is_for_agents(const struct listener *listener)
{
    return listener->mode == LISTENER_CONNECT && !listener->proxy_protocol && listener->address_count > 0;
}

static const struct endpoint *env_find_listener(const struct config *config)
{
    for (size_t i = 0; i < config->listener_count; i++)
        if (env_is_for_agents(&config->listeners[i]))
            return &config->listeners[i].addresses[0];
    return NULL;
}

static void env_say_no_listener(const struct config *config)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        if (!config->listeners[i].proxy_protocol)
            continue;
        log_error("listener %s hears only its load balancer (proxy_protocol): agents need that one's address, which is not known here",
                  config->listeners[i].name);
        return;
    }
    log_error("there is no listener with mode = connect: transparent clients need nothing set");
}

/* A listener on every address has none that agents could be told; the instance's name is, by default, the host's. */
static bool env_write_any(struct text *url, const struct config *config, uint16_t port)
{
    char name[HOSTNAME_SIZE];
    if (config->name == NULL || !hostname_read(name, config->name, strlen(config->name))) {
        log_error("the listener is on every address, and [exeat] name is no host name by which agents could reach it");
        return false;
    }
    text_format(url, "http://%s:%u", name, port);
    return true;
}

static bool env_write_url(char buf[ENV_URL_SIZE], const struct config *config)
{
    struct text url;
    char endpoint[ENDPOINT_TEXT_MAX];
    const struct endpoint *listener = env_find_listener(config);
    text_init(&url, buf, ENV_URL_SIZE);
    if (listener == NULL) {
        env_say_no_listener(config);
        return false;
    }
    if (listener->port == 0) {
        log_error("the listener is on port 0: its port is known only while it runs (exeat run --ports-file)");
        return false;
    }
    if (address_is_any(&listener->ip))
        return env_write_any(&url, config, listener->port);
    text_format(&url, "http://%s", endpoint_text(listener, endpoint));
    return true;
}

static void env_print_exports(const char *url)
{
    printf("export HTTPS_PROXY='%s' https_proxy='%s'\n", url, url);
    printf("export NO_PROXY='%s' no_proxy='%s'\n", ENV_NO_PROXY, ENV_NO_PROXY);
}

static void env_print_systemd(const char *url)
{
    puts("[Service]");
    printf("Environment=\"HTTPS_PROXY=%s\" \"https_proxy=%s\"\n", url, url);
    printf("Environment=\"NO_PROXY=%s\" \"no_proxy=%s\"\n", ENV_NO_PROXY, ENV_NO_PROXY);
}

/* Docker sets the upper and the lower case of each in builds and containers. */
static void env_print_docker(const char *url)
{
    printf("{\n  \"proxies\": {\n    \"default\": {\n      \"httpsProxy\": \"%s\",\n      \"noProxy\": \"%s\"\n    }\n  }\n}\n", url, ENV_NO_PROXY);
}

static void env_print_hook(const char *url)
{
    puts("#!/bin/sh\n"
         "# hooks/environment of the Buildkite agent: for its jobs. The agent itself needs the same (--format systemd).");
    env_print_exports(url);
}

/* clang-format off */
static const struct env_format ENV_FORMATS[] = {
    {"sh", env_print_exports},
    {"systemd", env_print_systemd},
    {"docker", env_print_docker},
    {"agent-hook", env_print_hook},
    {NULL, NULL},
};
/* clang-format on */

static const struct env_format *env_find_format(const char *name)
{
    for (const struct env_format *format = ENV_FORMATS; format->name != NULL; format++)
        if (strcmp(format->name, name) == 0)
            return format;
    log_error("--format: there is no \"%s\"; it is one of sh systemd docker agent-hook", name);
    return NULL;
}

static int env_print(const char *path, const struct env_format *format)
{
    char url[ENV_URL_SIZE];
    struct config *config = load_config(path);
    if (config == NULL)
        return COMMAND_ERROR;
    bool found = env_write_url(url, config);
    if (found)
        format->print(url);
    config_unref(config);
    return found ? COMMAND_OK : COMMAND_ERROR;
}

int command_env(int argc, char **argv)
{
    enum { OPTION_FORMAT = 256 };
    static const struct option OPTIONS[] = {
        {"config", required_argument, NULL, 'c'},
        {"format", required_argument, NULL, OPTION_FORMAT},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *path = NULL;
    const struct env_format *format = &ENV_FORMATS[0];
    int option;
    while ((option = getopt_long(argc, argv, "c:h", OPTIONS, NULL)) != -1) {
        if (option == 'h')
            return command_help(ENV_USAGE);
        if (option == '?')
            return command_misuse("env");
        if (option == 'c')
            path = optarg;
        else if ((format = env_find_format(optarg)) == NULL)
            return COMMAND_ERROR;
    }
    if (optind < argc) {
        log_error("env takes no argument \"%s\"", argv[optind]);
        return command_misuse("env");
    }
    return env_print(path, format);
}
