/* Reads the configuration for a command and says on standard error what is wrong with it. */
#ifndef EXEAT_CLI_LOAD_H
#define EXEAT_CLI_LOAD_H

#include "config/config.h"

/* The configuration at `path` (NULL: the embedded default), of which the caller owns one reference. NULL: every fault has been printed, or memory ran
 * out, which has been said; end with COMMAND_ERROR. */
struct config *load_config(const char *path);

/* The same for a caller that has more to look at before the faults are printed: they are only added to `faults`. */
struct config *load_read(const char *path, struct fault_list *faults);

/* The path of the socket of `[admin] listen`, malloc'd, also where something else is wrong: what runs is not what stands there then. NULL: there is
 * none, which has been said; end with COMMAND_ERROR. */
char *load_socket(const char *path);

/* Every fault and warning on standard error, a line each behind `exeat: `. */
void load_print(const struct fault_list *faults);
/* The same of lines that somebody else made of them, which are taken apart. */
void load_print_lines(char *lines);

/* What a message calls the configuration. */
const char *load_name(const char *path);

#endif
