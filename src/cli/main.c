/* Finds the command that was asked for and runs it. */
#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/suggestion.h"

#ifndef PACKAGE_VERSION /* configure says it on the command line */
#define PACKAGE_VERSION "unversioned"
#endif

const struct command COMMANDS[] = {
    {"run", "serve in the foreground", command_run},
    {"check", "read a configuration, warn of what is unwise, run its tests", command_check},
    {"explain", "say what would happen to a connection, and by which rule", command_explain},
    {"ranges", "print the documented egress range of each route", command_ranges},
    {"env", "print what to set on an agent", command_env},
    {"hosts", "print the built-in host lists", command_hosts},
    {"audit", "verify audit files, report what is in them, export them, make the key that signs them", command_audit},
    {"status", "say how a running exeat stands: its tunnels, its rules", command_status},
    {"reload", "have a running exeat read its configuration anew, and say what came of it", command_reload},
    {"upgrade", "have a running exeat go over to the program that is installed now", command_upgrade},
    {NULL, NULL, NULL},
};

static const struct command COMMANDS_INTERNAL[] = {
    {"-server", "", command_internal_server},
    {"-journal", "", command_internal_journal},
    {NULL, NULL, NULL},
};

static const struct command *main_find(const struct command *commands, const char *name)
{
    for (; commands->name != NULL; commands++)
        if (strcmp(commands->name, name) == 0)
            return commands;
    return NULL;
}

static void main_usage(FILE *to)
{
    fputs("usage: exeat COMMAND [OPTION]... [ARGUMENT]...\n"
          "       exeat --help | --version\n"
          "\n"
          "The one door through which build agents reach the internet.\n"
          "\n",
          to);
    for (const struct command *command = COMMANDS; command->name != NULL; command++)
        fprintf(to, "  %-8s %s\n", command->name, command->help);
    fputs("\n"
          "'exeat COMMAND --help' says more; so do exeat(8) and exeat.conf(5).\n",
          to);
}

int command_help(const char *usage)
{
    fputs(usage, stdout);
    return COMMAND_OK;
}

int command_misuse(const char *name)
{
    log_error("try 'exeat %s --help'", name);
    return COMMAND_ERROR;
}

int command_no_memory(void)
{
    log_error("out of memory");
    return COMMAND_ERROR;
}

static int main_unknown(const char *name)
{
    char hint[SUGGESTION_TEXT_MAX];
    struct suggestion suggestion = {.asked = name};
    for (const struct command *command = COMMANDS; command->name != NULL; command++)
        suggestion_offer(&suggestion, command->name);
    log_error("there is no command \"%s\"%s", name, suggestion_text(&suggestion, hint));
    log_error("try 'exeat --help'");
    return COMMAND_ERROR;
}

/* An answer that could not be written is no answer: `exeat check >/dev/full` must not look like success. */
static int main_finish(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    log_error("standard output: %s", strerror(errno));
    return COMMAND_ERROR;
}

static int main_dispatch(const struct command *command, int argc, char **argv)
{
    static char name[] = "exeat";
    argv[1] = name;
    return command->run(argc - 1, argv + 1);
}

/* A standard stream that is closed would be whatever is opened next, and records on their way to standard output would go into a socket. What stands
 * in for it can be neither read nor written. */
static bool main_fill_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    if (!main_fill_streams())
        return COMMAND_ERROR;
    if (argc < 2) {
        main_usage(stderr);
        return COMMAND_ERROR;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        main_usage(stdout);
        return main_finish(COMMAND_OK);
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("exeat " PACKAGE_VERSION);
        return main_finish(COMMAND_OK);
    }
    const struct command *internal = main_find(COMMANDS_INTERNAL, argv[1]);
    if (internal != NULL)
        return main_dispatch(internal, argc, argv);
    const struct command *command = main_find(COMMANDS, argv[1]);
    if (command == NULL)
        return main_unknown(argv[1]);
    return main_finish(main_dispatch(command, argc, argv));
}
