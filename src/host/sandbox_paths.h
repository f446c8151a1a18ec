/* Which files each sandboxed process may still open: directories, since a rule about a file dies with its replacement. */
#ifndef EXEAT_HOST_SANDBOX_PATHS_H
#define EXEAT_HOST_SANDBOX_PATHS_H

/* From here on, by host/landlock; each returns 0 or an errno. */
int sandbox_paths_server(void);
int sandbox_paths_journal(const char *audit_file); /* "-": no file at all */

#endif
