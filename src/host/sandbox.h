/* What each process gives up before its first thread, and what holds then. */
#ifndef EXEAT_HOST_SANDBOX_H
#define EXEAT_HOST_SANDBOX_H

#include <stdbool.h>

#include "config/config.h"

#define SANDBOX_TEXT_MAX 256

/* Both Landlock and seccomp outlive exec, and the supervisor starts programs: it is outside of them. */
enum sandbox_process { SANDBOX_SUPERVISOR = 0, SANDBOX_SERVER, SANDBOX_JOURNAL };

struct sandbox_settings {
    enum sandbox_mode mode;
    const char *audit_file; /* of the journal; "-": none */
};

/* Gives up what `process` does not need, for good; first of all the capabilities that it was not given, also where the sandbox is off. `holds` says
 * in words what is in force, for whoever has a log that cannot block. False, said in the log: not all of it can be had, and the mode asks for that,
 * or it has more power than it should. */
bool sandbox_enter(enum sandbox_process process, const struct sandbox_settings *settings, char holds[SANDBOX_TEXT_MAX]);

#endif
