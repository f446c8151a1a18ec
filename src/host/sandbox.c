/* What each process gives up before its first thread, and what holds then. */
#include "host/sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "host/capability.h"
#include "host/landlock.h"
#include "host/sandbox_paths.h"
#include "host/syscalls.h"

/* Sanitizers and gcov open files and make system calls of their own, the last of them when they have found something: they go without. */
#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANDBOX_INSTRUMENTED true
#endif
#endif
#if defined(EXEAT_INSTRUMENTED) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_INSTRUMENTED true
#endif
#ifndef SANDBOX_INSTRUMENTED
#define SANDBOX_INSTRUMENTED false
#endif

/* Errno of each step; 0: it holds. */
struct sandbox {
    const char *name;
    int no_new_privs, dumpable, landlock, syscalls;
    int abi;        /* the version of Landlock that was entered */
    bool restricts; /* Landlock and seccomp are for this process */
    bool off;
};

/* ---- the steps ---- */

/* Processes of one user could otherwise trace each other, read each other's memory, or take each other's descriptors. */
static int sandbox_hide(void)
{
    return prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL) == 0 ? 0 : errno;
}

static int sandbox_no_new_privs(void)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0 ? 0 : errno;
}

static void sandbox_restrict(struct sandbox *sandbox, enum sandbox_process process, const char *audit_file)
{
    sandbox->restricts = process != SANDBOX_SUPERVISOR;
    if (!sandbox->restricts)
        return;
    sandbox->abi = landlock_abi();
    sandbox->landlock = process == SANDBOX_SERVER ? sandbox_paths_server() : sandbox_paths_journal(audit_file);
    sandbox->syscalls = syscalls_restrict(process == SANDBOX_SERVER ? SYSCALLS_SERVER : SYSCALLS_JOURNAL);
}

static void sandbox_begin(struct sandbox *sandbox, enum sandbox_process process, const struct sandbox_settings *settings)
{
    static const char *const names[] = {[SANDBOX_SUPERVISOR] = "supervisor", [SANDBOX_SERVER] = "server", [SANDBOX_JOURNAL] = "journal"};
    sandbox->name = names[process];
    sandbox->off = settings->mode == SANDBOX_OFF || SANDBOX_INSTRUMENTED;
    if (sandbox->off)
        return;
    sandbox->dumpable = sandbox_hide();
    sandbox->no_new_privs = sandbox_no_new_privs();
    sandbox_restrict(sandbox, process, settings->audit_file);
}

/* ---- what holds ---- */

static void sandbox_add(struct text *text, const char *what, int error)
{
    if (error == 0)
        text_format(text, ", %s", what);
    else
        text_format(text, ", no %s (%s)", what, strerror(error));
}

static void sandbox_describe(const struct sandbox *sandbox, uint64_t capabilities, char holds[SANDBOX_TEXT_MAX])
{
    char names[CAPABILITY_TEXT_MAX], landlock[32];
    struct text text;
    text_init(&text, holds, SANDBOX_TEXT_MAX);
    text_format(&text, "uid %u, %s", (unsigned)geteuid(), capability_text(capabilities, names));
    if (sandbox->off) {
        text_add(&text, SANDBOX_INSTRUMENTED ? ", no sandbox (a build with sanitizers or counters)" : ", no sandbox (off)");
        return;
    }
    snprintf(landlock, sizeof(landlock), sandbox->landlock == 0 ? "Landlock %d" : "Landlock", sandbox->abi);
    sandbox_add(&text, "no_new_privs", sandbox->no_new_privs);
    if (sandbox->dumpable != 0)
        sandbox_add(&text, "memory of its own", sandbox->dumpable);
    if (!sandbox->restricts)
        return;
    sandbox_add(&text, landlock, sandbox->landlock);
    sandbox_add(&text, "seccomp", sandbox->syscalls);
}

static bool sandbox_is_whole(const struct sandbox *sandbox)
{
    return !sandbox->off && sandbox->no_new_privs == 0 && sandbox->dumpable == 0 && sandbox->landlock == 0 && sandbox->syscalls == 0;
}

/* The supervisor has given up its capabilities by the configuration; another process has those that it was started with, and passes none on. */
static bool sandbox_limit(enum sandbox_process process)
{
    if (process == SANDBOX_SUPERVISOR)
        return true;
    const uint64_t given = capability_ambient();
    return capability_limit(given, given);
}

bool sandbox_enter(enum sandbox_process process, const struct sandbox_settings *settings, char holds[SANDBOX_TEXT_MAX])
{
    struct sandbox sandbox = {0};
    if (!sandbox_limit(process)) {
        log_error("capabilities cannot be given up: %s", strerror(errno));
        return false;
    }
    const uint64_t capabilities = capability_permitted();
    sandbox_begin(&sandbox, process, settings);
    sandbox_describe(&sandbox, capabilities, holds);
    if (settings->mode != SANDBOX_ON || sandbox_is_whole(&sandbox))
        return true;
    log_error("sandbox = on, and not all of it can be had: the %s does not start (%s)", sandbox.name, holds);
    return false;
}
