/* The commands of `exeat audit`, one a file. */
#ifndef EXEAT_CLI_AUDIT_H
#define EXEAT_CLI_AUDIT_H

/* Called as those of cli/command.h are. */
int command_audit_verify(int argc, char **argv);
int command_audit_report(int argc, char **argv);
int command_audit_export(int argc, char **argv);
int command_audit_keygen(int argc, char **argv);

#endif
