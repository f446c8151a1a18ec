/* The service's own process: binds the listeners, starts journal and servers, starts each again when it dies, never reads a peer's byte. */
#ifndef EXEAT_HOST_SUPERVISOR_H
#define EXEAT_HOST_SUPERVISOR_H

#include "config/candidate.h"
#include "host/successor.h"

struct supervisor_settings {
    struct candidate
        *candidate; /* the configuration, already judged, and what it was made of; the supervisor's from here on, and loses policy and bytes */
    const char *config_path;           /* in that bundle */
    const char *listen;                /* `--listen`, or NULL */
    const char *ports_file;            /* `--ports-file`, or NULL */
    const struct fault_list *warnings; /* said in the log once that cannot block; borrowed */
    unsigned workers;                  /* 1 or more */
    const struct successor *successor; /* of this program: how it was started; borrowed */
    struct handover *left; /* by the program before this one, which goes on here; NULL: it was started as ever. The supervisor's from here on */
    int sign_key_fd;       /* what sign_key_open() gave: each journal process gets a copy, the server never; borrowed */
};

/* Serves until SIGINT, or SIGTERM and what is open then has ended; returns the exit code: 0 after an orderly stop, 1 when it could not start or could
 * not go on. */
int supervisor_run(const struct supervisor_settings *settings);

#endif
