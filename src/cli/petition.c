/* What the commands have in common that have a running exeat do something, wait, and say what came of it. */
#include "cli/petition.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "cli/admin_page.h"
#include "cli/command.h"
#include "cli/load.h"

/* What is wrong goes where `check` says it. */
static int petition_tell(const struct petition_command *command, const struct admin_page *page, const char *socket)
{
    switch (page->status) {
    case 200:
        fputs(page->body, stdout);
        return COMMAND_OK;
    case 409:
        load_print_lines(page->bytes + (page->body - page->bytes));
        log_error("the %s is refused; what was before goes on", command->asked);
        return COMMAND_NO;
    default:
        admin_page_complain(page, socket, command->page);
        return COMMAND_ERROR;
    }
}

static int petition_cannot_ask(const struct petition_command *command)
{
    log_error("%s to a running exeat does the same, and its log says what came of it", command->signal);
    return COMMAND_ERROR;
}

static int petition_ask(const struct petition_command *command, const char *path)
{
    struct admin_page page = {0};
    char *socket = load_socket(path);
    if (socket == NULL)
        return petition_cannot_ask(command);
    const bool answered = admin_page_post(&page, socket, command->page);
    const int code = answered ? petition_tell(command, &page, socket) : petition_cannot_ask(command);
    admin_page_fini(&page);
    free(socket);
    return code;
}

static bool petition_read_options(const struct petition_command *command, int argc, char **argv, const char **path, bool *help)
{
    static const struct option KNOWN[] = {
        {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "c:h", KNOWN, NULL)) != -1;) {
        if (option == 'c')
            *path = optarg;
        else if (option == 'h')
            *help = true;
        else
            return false;
    }
    if (optind < argc)
        log_error("\"%s\" is more than `%s` takes", argv[optind], command->name);
    return optind == argc;
}

int petition_run(const struct petition_command *command, int argc, char **argv)
{
    const char *path = NULL;
    bool help = false;
    if (!petition_read_options(command, argc, argv, &path, &help))
        return command_misuse(command->name);
    return help ? command_help(command->usage) : petition_ask(command, path);
}
