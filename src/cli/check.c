/* `exeat check`: reads a configuration, warns of what is unwise, runs its tests. */
#include "cli/command.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/load.h"
#include "cli/table.h"
#include "config/options.h"
#include "config/sign_key.h"
#include "policy/policy.h"

static const char CHECK_USAGE[] = "usage: exeat check [-c FILE] [--strict]\n"
                                  "       exeat check --options\n"
                                  "\n"
                                  "Reads the configuration, warns of what is allowed but unwise, and runs its [expect] sections.\n"
                                  "Faults and warnings go to standard error, each with FILE:LINE.\n"
                                  "\n"
                                  "  -c, --config FILE  the configuration; without it the built-in default\n"
                                  "      --strict       warnings are faults\n"
                                  "      --options      list every configuration key instead: section, key, default, help\n"
                                  "  -h, --help         this text\n"
                                  "\n"
                                  "Exit status: 0 the configuration may be served, 2 it may not.\n";

struct check {
    const char *path; /* NULL: the built-in default */
    bool strict;
    bool options;
};

/* The patterns that rules use, each list once however many rules name it. False: out of memory. */
static bool check_count_patterns(const struct policy *policy, size_t *patterns)
{
    size_t rooms = 1;
    for (size_t i = 0; i < policy_rule_count(policy); i++) {
        const struct rule *rule = policy_rule_at(policy, i);
        for (size_t j = 0; j < rule->list_count; j++)
            rooms = rule->lists[j]->number >= rooms ? rule->lists[j]->number + 1u : rooms;
    }
    bool *counted = calloc(rooms, sizeof(*counted));
    *patterns = 0;
    for (size_t i = 0; counted != NULL && i < policy_rule_count(policy); i++) {
        const struct rule *rule = policy_rule_at(policy, i);
        for (size_t j = 0; j < rule->list_count; j++) {
            const struct host_list *list = rule->lists[j];
            if (!counted[list->number])
                *patterns += list->names + network_set_count(list->networks);
            counted[list->number] = true;
        }
    }
    free(counted);
    return counted != NULL;
}

/* ", 3 rules" and the like. */
static void check_put_count(FILE *to, const char *before, size_t count, const char *noun)
{
    fprintf(to, "%s%zu %s%s", before, count, noun, count == 1 ? "" : "s");
}

static int check_accept(const struct check *check, const struct config *config, size_t warnings)
{
    size_t patterns;
    if (!check_count_patterns(config->policy, &patterns))
        return command_no_memory();
    printf("exeat: %s ", load_name(check->path));
    table_colour(stdout, COLOUR_GOOD, "ok");
    check_put_count(stdout, ": ", policy_rule_count(config->policy), "rule");
    check_put_count(stdout, ", ", policy_route_count(config->policy), "route");
    check_put_count(stdout, ", ", patterns, "pattern");
    if (warnings > 0)
        check_put_count(stdout, ", ", warnings, "warning");
    putchar('\n');
    return COMMAND_OK;
}

static int check_refuse(const struct check *check, size_t faults, size_t warnings)
{
    fprintf(stderr, "exeat: %s ", load_name(check->path));
    table_colour(stderr, COLOUR_BAD, "refused");
    check_put_count(stderr, ": ", faults, "fault");
    check_put_count(stderr, ", ", warnings, "warning");
    fputs(check->strict && faults == 0 ? " (--strict)\n" : "\n", stderr);
    return COMMAND_ERROR;
}

/* Whoever checks may be somebody else than who serves, without the right to read the key. */
static void check_sign_key(const struct config *config, struct fault_list *faults)
{
    const int fd = sign_key_open(&config->audit, false, faults);
    if (fd >= 0)
        close(fd);
}

static int check_judge(const struct check *check, struct fault_list *faults)
{
    struct config *config = load_read(check->path, faults);
    if (config != NULL) {
        uint32_t today = clock_day(clock_wall_us());
        config_lint(config, today, faults);
        config_expect(config, today, faults);
        check_sign_key(config, faults);
    }
    load_print(faults);
    size_t wrong = fault_count(faults), warnings = fault_warnings(faults);
    bool refused = config == NULL || wrong > 0 || (check->strict && warnings > 0);
    int status = refused ? check_refuse(check, wrong, warnings) : check_accept(check, config, warnings);
    config_unref(config);
    return status;
}

static int check_config(const struct check *check)
{
    struct fault_list *faults = fault_list_new();
    if (faults == NULL)
        return command_no_memory();
    int status = check_judge(check, faults);
    fault_list_free(faults);
    return status;
}

static int check_list_options(void)
{
    struct table table;
    size_t count;
    const struct option_row *rows = options_all(&count);
    table_init(&table, 4);
    table_row(&table, (const char *[]){"SECTION", "KEY", "DEFAULT", "HELP"});
    for (size_t i = 0; i < count; i++) {
        const struct option_row *row = &rows[i];
        table_row(&table, (const char *[]){row->section, row->key, row->fallback != NULL ? row->fallback : "", row->help});
    }
    bool printed = table_print(&table, stdout);
    table_fini(&table);
    return printed ? COMMAND_OK : command_no_memory();
}

int command_check(int argc, char **argv)
{
    enum { OPTION_STRICT = 256, OPTION_OPTIONS };
    static const struct option OPTIONS[] = {
        {"config", required_argument, NULL, 'c'},
        {"strict", no_argument, NULL, OPTION_STRICT},
        {"options", no_argument, NULL, OPTION_OPTIONS},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct check check = {.path = NULL};
    int option;
    while ((option = getopt_long(argc, argv, "c:h", OPTIONS, NULL)) != -1) {
        if (option == 'h')
            return command_help(CHECK_USAGE);
        if (option == '?')
            return command_misuse("check");
        if (option == 'c')
            check.path = optarg;
        check.strict = check.strict || option == OPTION_STRICT;
        check.options = check.options || option == OPTION_OPTIONS;
    }
    if (optind < argc) {
        log_error("check takes no argument \"%s\"; the configuration is named by -c", argv[optind]);
        return command_misuse("check");
    }
    return check.options ? check_list_options() : check_config(&check);
}
