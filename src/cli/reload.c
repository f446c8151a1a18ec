/* `exeat reload`: has a running exeat read its configuration anew, and says what came of it. */
#include "cli/command.h"

#include "cli/petition.h"

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

int command_reload(int argc, char **argv)
{
    static const struct petition_command RELOAD = {
        .name = "reload", .usage = RELOAD_USAGE, .page = "/reload?format=lines", .asked = "reload", .signal = "SIGHUP"};
    return petition_run(&RELOAD, argc, argv);
}
