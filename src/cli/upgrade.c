/* `exeat upgrade`: has a running exeat go over to the program that is installed now, and says what came of it. */
#include "cli/command.h"

#include "cli/petition.h"

static const char UPGRADE_USAGE[] = "usage: exeat upgrade [-c FILE]\n"
                                    "\n"
                                    "Has a running exeat go over to the program that is installed now, waits until that serves, and\n"
                                    "says so; or why what ran before goes on. No connection is lost: open tunnels stay with the\n"
                                    "servers that hold them until they end. Asks the socket of [admin] listen; where there is none,\n"
                                    "SIGUSR2 does the same.\n"
                                    "Exit status: 0 done, 1 refused, 2 nobody can be asked.\n"
                                    "\n"
                                    "  -c, --config=FILE  the configuration that names the socket\n"
                                    "      --help         this text\n";

int command_upgrade(int argc, char **argv)
{
    static const struct petition_command UPGRADE = {
        .name = "upgrade", .usage = UPGRADE_USAGE, .page = "/upgrade?format=lines", .asked = "upgrade", .signal = "SIGUSR2"};
    return petition_run(&UPGRADE, argc, argv);
}
