/* Becoming another user for good. */
#include "host/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"

static bool user_fail(const char *user, const char *step, int error)
{
    log_error("[exeat] user = %s: %s%s%s", user, step, error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
    return false;
}

/* Capabilities would go with root's uid, those that are needed too. */
static bool user_take(const char *user, uid_t uid, gid_t gid)
{
    if (prctl(PR_SET_KEEPCAPS, 1UL, 0UL, 0UL, 0UL) != 0)
        return user_fail(user, "capabilities cannot be kept", errno);
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0)
        return user_fail(user, "its group cannot be taken", errno);
    if (setresuid(uid, uid, uid) != 0)
        return user_fail(user, "its uid cannot be taken", errno);
    return true;
}

static bool user_become(const char *user)
{
    errno = 0;
    const struct passwd *entry = getpwnam(user);
    if (entry == NULL)
        return user_fail(user, "there is no such user here", errno);
    if (entry->pw_uid == 0)
        return user_fail(user, "that is root", 0);
    return user_take(user, entry->pw_uid, entry->pw_gid);
}

static bool user_is(const char *user, uid_t uid)
{
    const struct passwd *entry = getpwnam(user);
    return entry != NULL && entry->pw_uid == uid;
}

bool user_settle(const char *user)
{
    const uid_t uid = geteuid();
    if (uid == 0 && user != NULL)
        return user_become(user);
    if (uid == 0)
        log_warn("started as root without [exeat] user: it stays uid 0, though without root's capabilities");
    else if (user != NULL && !user_is(user, uid))
        log_warn("not started as root: it cannot become [exeat] user = %s, and stays uid %u", user, (unsigned)uid);
    return true;
}
