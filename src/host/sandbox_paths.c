/* Which files each sandboxed process may still open: directories, since a rule about a file dies with its replacement. */
#include "host/sandbox_paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/landlock.h"

/* The directory in which `path` stands when all links are followed; NULL: it cannot be had. The caller's to free. */
static char *sandbox_paths_behind(const char *path)
{
    char *real = realpath(path, NULL);
    char *slash = real != NULL ? strrchr(real, '/') : NULL;
    if (slash != NULL)
        slash[slash == real ? 1 : 0] = '\0';
    return real;
}

int sandbox_paths_server(void)
{
    char *resolv = sandbox_paths_behind("/etc/resolv.conf");
    const struct landlock_grant grants[] = {
        {"/etc", LANDLOCK_READ},         /* resolv.conf, which is renamed into its place; c-ares reads it anew for its batches of questions */
        {resolv, LANDLOCK_READ},         /* the same, where it is a link */
        {"/dev/null", LANDLOCK_READ},    /* the spare descriptor of each worker */
        {"/dev/urandom", LANDLOCK_READ}, /* c-ares */
    };
    const int error = landlock_restrict(grants, sizeof(grants) / sizeof(grants[0]), true);
    free(resolv);
    return error;
}

static bool sandbox_paths_is_mount(const char *directory)
{
    struct statx status;
    return statx(AT_FDCWD, directory, 0, STATX_TYPE, &status) == 0 && (status.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* A rule about the root of a disk goes with that disk. Where one is mounted at the directory, the one above is granted, so that another may be
 * mounted in its place; but never the root of all. Takes the directory and gives the one to grant; NULL: out of memory. */
static char *sandbox_paths_steady(char *directory)
{
    char *above;
    if (directory == NULL || !sandbox_paths_is_mount(directory))
        return directory;
    if (asprintf(&above, "%s/..", directory) < 0)
        above = NULL;
    const bool is_steady = above != NULL && !sandbox_paths_is_mount(above);
    free(is_steady ? directory : above);
    return is_steady ? above : directory;
}

/* Rotation and FILE.head make files beside the audit file. When that is a link, what it leads to has a directory of its own. */
static int sandbox_paths_file(const char *file)
{
    const unsigned all = LANDLOCK_READ | LANDLOCK_LIST | LANDLOCK_WRITE;
    const char *slash = strrchr(file, '/');
    char *beside = sandbox_paths_steady(slash != NULL ? strndup(file, slash == file ? 1 : (size_t)(slash - file)) : strdup("."));
    char *behind = sandbox_paths_steady(sandbox_paths_behind(file));
    const struct landlock_grant grants[] = {{beside, all}, {behind, all}};
    const int error = beside == NULL ? ENOMEM : landlock_restrict(grants, sizeof(grants) / sizeof(grants[0]), false);
    free(beside);
    free(behind);
    return error;
}

int sandbox_paths_journal(const char *audit_file)
{
    return strcmp(audit_file, "-") == 0 ? landlock_restrict(NULL, 0, false) : sandbox_paths_file(audit_file);
}
