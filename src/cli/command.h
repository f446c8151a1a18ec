/* The commands of the program: what each is called, and the few things that all of them do alike. */
#ifndef EXEAT_CLI_COMMAND_H
#define EXEAT_CLI_COMMAND_H

/* What a command returns to the shell. */
enum command_exit {
    COMMAND_OK = 0,
    COMMAND_NO = 1,    /* asked and answered with no: `explain` denied something, `audit verify` found something */
    COMMAND_ERROR = 2, /* misuse, a faulty configuration, out of memory */
};

struct command {
    const char *name;
    const char *help; /* one line for `exeat --help` */
    int (*run)(int argc, char **argv);
};

/* In the order of `exeat --help`; ends with a NULL name. */
extern const struct command COMMANDS[];

/* Each is called with argv[0] as "exeat", for getopt's messages, and what follows the command's name behind it. */
int command_run(int argc, char **argv);
int command_check(int argc, char **argv);
int command_explain(int argc, char **argv);
int command_ranges(int argc, char **argv);
int command_env(int argc, char **argv);
int command_hosts(int argc, char **argv);
int command_audit(int argc, char **argv);
int command_status(int argc, char **argv);
int command_reload(int argc, char **argv);
int command_upgrade(int argc, char **argv);

/* The other processes of ours, started by the supervisor's exec with "-server" and "-journal" as first word: not for people. */
int command_internal_server(int argc, char **argv);
int command_internal_journal(int argc, char **argv);

/* Ends `--help`: writes `usage` to standard output. Returns COMMAND_OK. */
int command_help(const char *usage);

/* Ends a command that was called wrongly, after the message: names its `--help`. Returns COMMAND_ERROR. */
int command_misuse(const char *name);

/* Says that memory ran out. Returns COMMAND_ERROR. */
int command_no_memory(void);

#endif
