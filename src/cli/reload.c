/* `exeat reload`: has a running exeat read its configuration anew, and says what came of it. */
#include "cli/command.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "cli/admin_page.h"
#include "cli/load.h"

static const char RELOAD_USAGE[] = "usage: exeat reload [-c FILE]\n"
                                   "\n"
                                   "Has a running exeat read its configuration anew, waits until it goes by that, and says what\n"
                                   "changed; or all the faults for which it goes on as before. Asks the socket of [admin] listen;\n"
                                   "where there is none, SIGHUP does the same.\n"
                                   "Exit status: 0 taken, 1 refused, 2 nobody can be asked.\n"
                                   "\n"
                                   "  -c, --config=FILE  the configuration that names the socket; what is read anew is the one that\n"
                                   "                     exeat was started with\n"
                                   "      --help         this text\n";

#define RELOAD_PAGE "/reload?format=lines"

/* What is wrong goes where `check` says it. */
static int reload_tell(const struct admin_page *page, const char *socket)
{
    switch (page->status) {
    case 200:
        fputs(page->body, stdout);
        return COMMAND_OK;
    case 409:
        load_print_lines(page->bytes + (page->body - page->bytes));
        log_error("the reload is refused; what was before goes on");
        return COMMAND_NO;
    default:
        admin_page_complain(page, socket, RELOAD_PAGE);
        return COMMAND_ERROR;
    }
}

static int reload_cannot_ask(void)
{
    log_error("SIGHUP to a running exeat does the same, and its log says what came of it");
    return COMMAND_ERROR;
}

static int reload_ask(const char *path)
{
    struct admin_page page = {0};
    char *socket = load_socket(path);
    if (socket == NULL)
        return reload_cannot_ask();
    const bool answered = admin_page_post(&page, socket, RELOAD_PAGE);
    const int code = answered ? reload_tell(&page, socket) : reload_cannot_ask();
    admin_page_fini(&page);
    free(socket);
    return code;
}

static bool reload_read_options(int argc, char **argv, const char **path, bool *help)
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
        log_error("\"%s\" is more than `reload` takes", argv[optind]);
    return optind == argc;
}

int command_reload(int argc, char **argv)
{
    const char *path = NULL;
    bool help = false;
    if (!reload_read_options(argc, argv, &path, &help))
        return command_misuse("reload");
    return help ? command_help(RELOAD_USAGE) : reload_ask(path);
}
