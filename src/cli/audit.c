/* `exeat audit`: the commands about audit files. */
#include "cli/audit.h"

#include <string.h>

#include "base/log.h"
#include "cli/command.h"
#include "config/suggestion.h"

static const char AUDIT_USAGE[] = "usage: exeat audit COMMAND [OPTION]... FILE...\n"
                                  "\n"
                                  "Reads audit files, also rotated and gzip'd ones; - is standard input. Makes keys that sign them.\n"
                                  "\n"
                                  "  verify   say whether every record is there as it was written\n"
                                  "  report   say who went where, how much, and what was denied\n"
                                  "  export   write the records by another schema, also while they come\n"
                                  "  keygen   make a key by which exeat signs its records\n"
                                  "\n"
                                  "  -h, --help  this text; 'exeat audit COMMAND --help' says more\n";

static const struct command AUDIT_COMMANDS[] = {
    {"verify", "", command_audit_verify},
    {"report", "", command_audit_report},
    {"export", "", command_audit_export},
    {"keygen", "", command_audit_keygen},
    {NULL, NULL, NULL},
};

static int audit_unknown(const char *name)
{
    char hint[SUGGESTION_TEXT_MAX];
    struct suggestion suggestion = {.asked = name};
    for (const struct command *command = AUDIT_COMMANDS; command->name != NULL; command++)
        suggestion_offer(&suggestion, command->name);
    if (name[0] == '\0')
        log_error("which COMMAND?");
    else
        log_error("there is no command \"audit %s\"%s", name, suggestion_text(&suggestion, hint));
    return command_misuse("audit");
}

int command_audit(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return command_help(AUDIT_USAGE);
    for (const struct command *command = AUDIT_COMMANDS; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0) {
            argv[1] = argv[0];
            return command->run(argc - 1, argv + 1);
        }
    }
    return audit_unknown(name);
}
