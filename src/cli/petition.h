/* What the commands have in common that have a running exeat do something, wait, and say what came of it. */
#ifndef EXEAT_CLI_PETITION_H
#define EXEAT_CLI_PETITION_H

struct petition_command {
    const char *name, *usage;
    const char *page;   /* of the admin socket */
    const char *asked;  /* as in `the … is refused` */
    const char *signal; /* that does the same */
};

/* All of the command: COMMAND_OK it was done, COMMAND_NO it was refused, COMMAND_ERROR nobody can be asked. */
int petition_run(const struct petition_command *command, int argc, char **argv);

#endif
