/* `exeat hosts`: the host lists that are compiled in. */
#include "cli/command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/table.h"
#include "config/hosts_builtin.h"
#include "config/suggestion.h"

static const char HOSTS_USAGE[] = "usage: exeat hosts [NAME]\n"
                                  "\n"
                                  "Lists the built-in host lists and how many patterns each holds. With a NAME: prints that\n"
                                  "list, with the page it comes from and the date. A rule uses it as @NAME.\n"
                                  "\n"
                                  "  -h, --help  this text\n";

/* A pattern a line; blank lines and comments are none. */
static size_t hosts_count(const char *bytes)
{
    size_t count = 0;
    while (*bytes != '\0') {
        bytes += strspn(bytes, " \t\r");
        if (*bytes != '#' && *bytes != ';' && *bytes != '\n' && *bytes != '\0')
            count++;
        bytes += strcspn(bytes, "\n");
        if (*bytes == '\n')
            bytes++;
    }
    return count;
}

static int hosts_list(void)
{
    struct table table;
    table_init(&table, 2);
    table_row(&table, (const char *[]){"LIST", "PATTERNS"});
    for (const struct embedded_file *file = HOSTS_BUILTIN; file->name != NULL; file++) {
        char count[24];
        snprintf(count, sizeof(count), "%zu", hosts_count(file->bytes));
        table_row(&table, (const char *[]){file->name, count});
    }
    bool printed = table_print(&table, stdout);
    table_fini(&table);
    return printed ? COMMAND_OK : command_no_memory();
}

static int hosts_unknown(const char *name)
{
    char hint[SUGGESTION_TEXT_MAX];
    struct suggestion suggestion = {.asked = name};
    for (const struct embedded_file *file = HOSTS_BUILTIN; file->name != NULL; file++)
        suggestion_offer(&suggestion, file->name);
    log_error("there is no built-in list \"%s\"%s", name, suggestion_text(&suggestion, hint));
    return COMMAND_ERROR;
}

static int hosts_show(const char *name)
{
    if (*name == '@')
        name++;
    const struct embedded_file *file = hosts_builtin_find(name);
    if (file == NULL)
        return hosts_unknown(name);
    fwrite(file->bytes, 1, file->len, stdout);
    return COMMAND_OK;
}

int command_hosts(int argc, char **argv)
{
    static const struct option OPTIONS[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    int option = getopt_long(argc, argv, "h", OPTIONS, NULL);
    if (option != -1)
        return option == 'h' ? command_help(HOSTS_USAGE) : command_misuse("hosts");
    if (argc - optind > 1) {
        log_error("hosts takes one NAME at most");
        return command_misuse("hosts");
    }
    return optind < argc ? hosts_show(argv[optind]) : hosts_list();
}
