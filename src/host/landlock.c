/* Which paths this process may still open, and whom it may still reach on this host, by the kernel's Landlock. */
#include "host/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The headers at hand may be older than the kernel: what came with later versions is spelled out here. */
#define FS_KNOWN_1 ((UINT64_C(1) << 13) - 1)
#define FS_REFER (UINT64_C(1) << 13)     /* version 2 */
#define FS_TRUNCATE (UINT64_C(1) << 14)  /* version 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* version 5 */
#define NET_BIND_TCP UINT64_C(1)         /* version 4 */
#define SCOPE_ALL UINT64_C(3)            /* version 6: abstract unix sockets, signals */
#define RULE_NET_PORT 2

struct landlock_ruleset {
    uint64_t fs, net, scoped;
};

struct landlock_port {
    uint64_t allowed, port;
};

int landlock_abi(void)
{
    const long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return version > 0 ? (int)version : 0;
}

/* All that the version can forbid is forbidden, then granted piece by piece. Returns its descriptor, or -1 with errno. */
static int landlock_create(int abi, struct landlock_ruleset *rules)
{
    rules->fs = FS_KNOWN_1 | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) | (abi >= 5 ? FS_IOCTL_DEV : 0);
    rules->net = abi >= 4 ? NET_BIND_TCP : 0;
    rules->scoped = abi >= 6 ? SCOPE_ALL : 0;
    const size_t size = abi >= 6 ? sizeof(*rules) : abi >= 4 ? offsetof(struct landlock_ruleset, scoped) : offsetof(struct landlock_ruleset, net);
    return (int)syscall(SYS_landlock_create_ruleset, rules, size, 0);
}

static uint64_t landlock_rights(unsigned access, bool is_directory)
{
    uint64_t rights = 0;
    if (access & LANDLOCK_READ)
        rights |= LANDLOCK_ACCESS_FS_READ_FILE;
    if (access & LANDLOCK_WRITE)
        rights |= LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE;
    if (is_directory && (access & LANDLOCK_LIST))
        rights |= LANDLOCK_ACCESS_FS_READ_DIR;
    if (is_directory && (access & LANDLOCK_WRITE))
        rights |= LANDLOCK_ACCESS_FS_MAKE_REG;
    return rights;
}

/* Returns 0, also where the path cannot be had: then nothing needs to be allowed there. */
static int landlock_grant(int ruleset, const struct landlock_ruleset *rules, const struct landlock_grant *grant)
{
    struct stat status;
    const int fd = grant->path != NULL ? open(grant->path, O_PATH | O_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    int error = fstat(fd, &status) == 0 ? 0 : errno;
    const struct landlock_path_beneath_attr rule = {
        .allowed_access = landlock_rights(grant->access, error == 0 && S_ISDIR(status.st_mode)) & rules->fs, .parent_fd = fd};
    if (error == 0 && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        error = errno;
    close(fd);
    return error;
}

static int landlock_grant_any_port(int ruleset, const struct landlock_ruleset *rules)
{
    const struct landlock_port rule = {.allowed = NET_BIND_TCP, .port = 0};
    return rules->net == 0 || syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) == 0 ? 0 : errno;
}

int landlock_restrict(const struct landlock_grant *grants, size_t count, bool binds)
{
    struct landlock_ruleset rules;
    const int abi = landlock_abi();
    const int ruleset = abi > 0 ? landlock_create(abi, &rules) : -1;
    if (ruleset < 0)
        return errno;
    int error = binds ? landlock_grant_any_port(ruleset, &rules) : 0;
    for (size_t i = 0; error == 0 && i < count; i++)
        error = landlock_grant(ruleset, &rules, &grants[i]);
    if (error == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        error = errno;
    close(ruleset);
    return error;
}
