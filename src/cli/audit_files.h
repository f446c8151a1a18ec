/* The audit files that a command was given, and reading them line by line. */
#ifndef EXEAT_CLI_AUDIT_FILES_H
#define EXEAT_CLI_AUDIT_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "audit/audit_input.h"

struct audit_files {
    char **paths; /* the caller's strings */
    size_t count;
    bool is_quiet;    /* no progress is shown */
    const char *head; /* a FILE.head among them, as `audit.jsonl*` brings it along; NULL: none */
};

/* `arguments` ends with NULL, as argv does. False: an error has been printed; fini may be called all the same. */
bool audit_files_init(struct audit_files *files, char **arguments);
void audit_files_fini(struct audit_files *files);

/* Brings regular files into the order of their records, and says so when that is another than the one given. False: an error has been printed. */
bool audit_files_sort(struct audit_files *files);

/* Calls `on_line` for every line of every file, until it returns false; shows how far it is. False: an error has been printed. */
bool audit_files_read(const struct audit_files *files, bool (*on_line)(void *arg, const char *path, const struct audit_input_line *line), void *arg);

#endif
