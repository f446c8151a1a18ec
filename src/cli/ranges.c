/* `exeat ranges`: from which addresses each route's connections come, in the forms that allow lists want. */
#include "cli/command.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "cli/load.h"
#include "cli/range.h"
#include "config/suggestion.h"

#define RANGES_BUILDKITE_MAX 24 /* blocks that a token's Allowed IP Addresses hold */

static const char RANGES_USAGE[] = "usage: exeat ranges [-c FILE] [--format FORMAT] [ROUTE]...\n"
                                   "\n"
                                   "Prints the documented egress range of each route, or of those named: its public addresses,\n"
                                   "joined into the fewest CIDRs.\n"
                                   "\n"
                                   "  -c, --config FILE    the configuration; without it the built-in default\n"
                                   "      --format FORMAT  text (default), json, csv, terraform, nft, or buildkite: one line of\n"
                                   "                       IPv4 CIDRs that are not private-use, for a token's Allowed IP Addresses\n"
                                   "  -h, --help           this text\n";

struct range_format {
    const char *name;
    int (*print)(const struct range *ranges, size_t count);
    bool has_comments; /* the form itself can say that a route is not pinned */
};

/* A CIDR a line under a comment with the route: what `from_file` of another exeat can read. */
static int ranges_print_text(const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        printf("# %s%s\n", ranges[i].route->name, ranges[i].count == 0 ? ": " RANGE_UNPINNED : "");
        range_put(&ranges[i], FAMILY_NONE, "", "\n");
        if (ranges[i].count > 0)
            putchar('\n');
    }
    return COMMAND_OK;
}

static int ranges_print_json(const struct range *ranges, size_t count)
{
    fputs("{\"routes\":[", stdout);
    for (size_t i = 0; i < count; i++) {
        printf("%s{\"name\":", i > 0 ? "," : "");
        json_put(stdout, ranges[i].route->name);
        printf(",\"pinned\":%s,\"ranges\":[", ranges[i].count > 0 ? "true" : "false");
        range_put(&ranges[i], FAMILY_NONE, "\"", ",");
        fputs("]}", stdout);
    }
    puts("]}");
    return COMMAND_OK;
}

static int ranges_print_csv(const struct range *ranges, size_t count)
{
    char buf[NETWORK_TEXT_MAX];
    puts("route,family,range");
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < ranges[i].count; j++)
            printf("%s,ipv%d,%s\n", ranges[i].route->name, ranges[i].networks[j].base.family, network_cidr_text(&ranges[i].networks[j], buf));
    return COMMAND_OK;
}

/* A route that is not pinned has no key: a plan that uses it stops, and does not open or close everything. */
static int ranges_print_terraform(const struct range *ranges, size_t count)
{
    puts("locals {\n  exeat_ranges = {");
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].count == 0) {
            printf("    # %s: %s\n", ranges[i].route->name, RANGE_UNPINNED);
            continue;
        }
        printf("    \"%s\" = [", ranges[i].route->name);
        range_put(&ranges[i], FAMILY_NONE, "\"", ", ");
        puts("]");
    }
    puts("  }\n}");
    return COMMAND_OK;
}

static void ranges_print_nft_family(const struct range *range, enum family family)
{
    if (!range_has_family(range, family)) /* nft takes no empty set */
        return;
    printf("define exeat_%s_ipv%d = { ", range->route->name, family);
    range_put(range, family, "", ", ");
    puts(" }");
}

static int ranges_print_nft(const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].count == 0)
            printf("# %s: %s\n", ranges[i].route->name, RANGE_UNPINNED);
        ranges_print_nft_family(&ranges[i], FAMILY_V4);
        ranges_print_nft_family(&ranges[i], FAMILY_V6);
    }
    return COMMAND_OK;
}

/* Every network of IPv4 that is not private-use, of all routes together. False: out of memory. */
static bool ranges_join_public(struct range *joined, const struct range *ranges, size_t count)
{
    size_t room = 1;
    for (size_t i = 0; i < count; i++)
        room += ranges[i].count;
    *joined = (struct range){.networks = calloc(room, sizeof(*joined->networks))};
    if (joined->networks == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (range_has_family(&ranges[i], FAMILY_V6))
            log_warn("route %s: IPv6 is left out, a token's Allowed IP Addresses hold only IPv4", ranges[i].route->name);
        for (size_t j = 0; j < ranges[i].count; j++) {
            const struct network *network = &ranges[i].networks[j];
            if (network->base.family == FAMILY_V4 && !network_is_private(network))
                joined->networks[joined->count++] = *network;
        }
    }
    joined->count = network_aggregate(joined->networks, joined->count);
    return true;
}

/* An empty setting would let agents connect from anywhere, so none is an error. */
static int ranges_print_buildkite(const struct range *ranges, size_t count)
{
    struct range joined;
    if (!ranges_join_public(&joined, ranges, count))
        return command_no_memory();
    bool any = joined.count > 0;
    if (any) {
        range_put(&joined, FAMILY_NONE, "", " ");
        putchar('\n');
    } else {
        log_error("no route is pinned to a public IPv4 address: there is nothing to allow");
    }
    if (joined.count > RANGES_BUILDKITE_MAX)
        log_warn("%zu CIDRs: a token's Allowed IP Addresses hold at most %d", joined.count, RANGES_BUILDKITE_MAX);
    range_fini(&joined);
    return any ? COMMAND_OK : COMMAND_ERROR;
}

static const struct range_format RANGES_FORMATS[] = {
    {"text", ranges_print_text, true},
    {"json", ranges_print_json, true},
    {"csv", ranges_print_csv, false},
    {"terraform", ranges_print_terraform, true},
    {"nft", ranges_print_nft, true},
    {"buildkite", ranges_print_buildkite, false},
    {NULL, NULL, false},
};

static const struct range_format *ranges_find_format(const char *name)
{
    for (const struct range_format *format = RANGES_FORMATS; format->name != NULL; format++)
        if (strcmp(format->name, name) == 0)
            return format;
    log_error("--format: there is no \"%s\"; it is one of text json csv terraform nft buildkite", name);
    return NULL;
}

static const struct route *ranges_find_route(const struct policy *policy, const char *name)
{
    const struct route *route = policy_find_route(policy, name);
    if (route != NULL)
        return route;
    char hint[SUGGESTION_TEXT_MAX];
    struct suggestion suggestion = {.asked = name};
    for (size_t i = 0; i < policy_route_count(policy); i++)
        suggestion_offer(&suggestion, policy_route_at(policy, i)->name);
    log_error("there is no [route %s]%s", name, suggestion_text(&suggestion, hint));
    return NULL;
}

/* Fills one range a route: those named, or all. False: an error has been printed. */
static bool ranges_collect(const struct policy *policy, char **names, struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct route *route = *names != NULL ? ranges_find_route(policy, names[i]) : policy_route_at(policy, i);
        if (route == NULL)
            return false;
        if (!range_init(&ranges[i], route)) {
            command_no_memory();
            return false;
        }
    }
    return true;
}

static int ranges_print(const struct range_format *format, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count && !format->has_comments; i++)
        if (ranges[i].count == 0)
            log_warn("route %s: %s", ranges[i].route->name, RANGE_UNPINNED);
    return format->print(ranges, count);
}

/* `names` ends with NULL, as argv does. */
static int ranges_of(const struct policy *policy, const struct range_format *format, char **names, size_t name_count)
{
    size_t count = name_count > 0 ? name_count : policy_route_count(policy);
    struct range *ranges = calloc(count + 1, sizeof(*ranges));
    if (ranges == NULL)
        return command_no_memory();
    int status = ranges_collect(policy, names, ranges, count) ? ranges_print(format, ranges, count) : COMMAND_ERROR;
    for (size_t i = 0; i < count; i++)
        range_fini(&ranges[i]);
    free(ranges);
    return status;
}

int command_ranges(int argc, char **argv)
{
    enum { OPTION_FORMAT = 256 };
    static const struct option OPTIONS[] = {
        {"config", required_argument, NULL, 'c'},
        {"format", required_argument, NULL, OPTION_FORMAT},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *path = NULL;
    const struct range_format *format = &RANGES_FORMATS[0];
    int option;
    while ((option = getopt_long(argc, argv, "c:h", OPTIONS, NULL)) != -1) {
        if (option == 'h')
            return command_help(RANGES_USAGE);
        if (option == '?')
            return command_misuse("ranges");
        if (option == 'c')
            path = optarg;
        else if ((format = ranges_find_format(optarg)) == NULL)
            return COMMAND_ERROR;
    }
    struct config *config = load_config(path);
    if (config == NULL)
        return COMMAND_ERROR;
    int status = ranges_of(config->policy, format, argv + optind, (size_t)(argc - optind));
    config_unref(config);
    return status;
}
