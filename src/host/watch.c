/* Watches the files of a configuration: whether they became others than those that were read. */
#include "host/watch.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* Editors and tools write in several steps: as long as two looks differ, nobody reads. It bounds, too, how often a busy directory is looked at. */
#define WATCH_REST_MS 200

/* Directories are watched, not files: a file that is replaced is another one under the same name, and what a symbolic link leads to is changed by
 * changing the link. */
#define WATCH_EVENTS (IN_ATTRIB | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)

/* As many as the kernel follows. */
#define LINKS_MAX 40

struct watch {
    int fd;
    const struct bundle *bundle;
    uint64_t look_ms; /* 0: when something was heard */
    uint64_t state;   /* of the files at the last look that found them changed */
    bool told;
};

struct watch *watch_new(void)
{
    struct watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL)
        return NULL;
    watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch->fd >= 0)
        return watch;
    free(watch);
    return NULL;
}

void watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    close(watch->fd);
    free(watch);
}

/* ---- where to listen ---- */

/* The directory of a path, or, of a pattern, the part before the first that is one. `path` is cut up. */
static void watch_add_directory(const struct watch *watch, char *path)
{
    path[strcspn(path, "*?[")] = '\0';
    char *slash = strrchr(path, '/');
    const char *directory = slash == NULL ? "." : slash == path ? "/" : path;
    if (slash != NULL && slash != path)
        *slash = '\0';
    (void)inotify_add_watch(watch->fd, directory, WATCH_EVENTS); /* where there is none, or too many are watched, a signal still helps */
}

/* The path with its first link followed, whose directory is watched: the link may be exchanged. NULL: there is none. The caller's to free. */
static char *watch_follow_link(const struct watch *watch, const char *path)
{
    char target[PATH_MAX], *next = NULL;
    for (const char *end = path; *end != '\0';) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        char *link = strndup(path, (size_t)(end - path));
        const ssize_t len = link != NULL ? readlink(link, target, sizeof(target)) : -1;
        if (len >= 0) {
            const char *slash = target[0] != '/' ? strrchr(link, '/') : NULL;
            if (asprintf(&next, "%.*s%.*s%s", slash != NULL ? (int)(slash + 1 - link) : 0, link, (int)len, target, end) < 0)
                next = NULL;
            watch_add_directory(watch, link);
            free(link);
            return next;
        }
        free(link);
    }
    return NULL;
}

/* Each directory in which a link stands on the way, and the one at the end of it. */
static void watch_add_path(const struct watch *watch, const char *path)
{
    char *now = strdup(path), *next;
    for (unsigned links = 0; links < LINKS_MAX && now != NULL && (next = watch_follow_link(watch, now)) != NULL; links++) {
        free(now);
        now = next;
    }
    if (now != NULL)
        watch_add_directory(watch, now);
    free(now);
}

void watch_set(struct watch *watch, const struct bundle *bundle, uint64_t now_ms)
{
    const struct bundle_file *file;
    const char *pattern;
    watch->bundle = bundle;
    watch->told = false;
    watch->state = 0;
    watch->look_ms = now_ms + WATCH_REST_MS;
    for (size_t i = 0; (file = bundle_file_at(bundle, i)) != NULL; i++)
        if (file->stamp != 0)
            watch_add_path(watch, file->path);
    for (size_t i = 0; (pattern = bundle_glob_at(bundle, i)) != NULL; i++)
        watch_add_path(watch, pattern);
}

/* ---- listening and looking ---- */

int watch_fd(const struct watch *watch)
{
    return watch->look_ms == 0 ? watch->fd : -1;
}

void watch_heard(struct watch *watch, uint64_t now_ms)
{
    watch->look_ms = now_ms + WATCH_REST_MS;
}

uint64_t watch_at_ms(const struct watch *watch)
{
    return watch->look_ms == 0 ? UINT64_MAX : watch->look_ms;
}

static void watch_forget_heard(const struct watch *watch)
{
    char events[4096];
    while (read(watch->fd, events, sizeof(events)) > 0)
        continue;
}

bool watch_is_due(struct watch *watch, uint64_t now_ms)
{
    if (watch->look_ms == 0 || now_ms < watch->look_ms)
        return false;
    watch_forget_heard(watch); /* whatever it was happened before the look */
    watch->look_ms = 0;
    const uint64_t state = bundle_state_now(watch->bundle);
    if (watch->told || state == bundle_state_read(watch->bundle))
        return false;
    watch->told = state == watch->state;
    watch->state = state;
    if (!watch->told)
        watch->look_ms = now_ms + WATCH_REST_MS;
    return watch->told;
}
