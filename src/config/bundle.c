/* Every file a configuration is made of, read once: what the supervisor judged is what the server serves, byte for byte. */
#include "config/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "config/array.h"
#include "config/bundle_private.h"
#include "config/config.h"
#include "config/hosts_builtin.h"

/* In place of an errno, one that neither open(2) nor read(2) has: what stands there is no file, nor a directory. */
#define BUNDLE_NO_FILE ESPIPE

struct bundle *bundle_new(void)
{
    struct bundle *bundle = calloc(1, sizeof(*bundle));
    if (bundle != NULL && !bundle_put(bundle, CONFIG_EMBEDDED, CONFIG_DEFAULT.bytes, CONFIG_DEFAULT.len)) {
        bundle_free(bundle);
        return NULL;
    }
    return bundle;
}

static void bundle_file_free(struct bundle_file *file)
{
    if (file == NULL)
        return;
    free((char *)file->path);
    free((char *)file->bytes);
    free(file);
}

static void bundle_glob_free(struct bundle_globbed *globbed)
{
    if (globbed == NULL)
        return;
    path_list_fini(&globbed->found);
    free(globbed->pattern);
    free(globbed);
}

void bundle_free(struct bundle *bundle)
{
    if (bundle == NULL)
        return;
    for (size_t i = 0; i < bundle->file_count; i++)
        bundle_file_free(bundle->files[i]);
    for (size_t i = 0; i < bundle->glob_count; i++)
        bundle_glob_free(bundle->globs[i]);
    free(bundle->files);
    free(bundle->globs);
    free(bundle->digest);
    free(bundle);
}

void bundle_seal(struct bundle *bundle)
{
    bundle->sealed = true;
}

bool bundle_set_digest(struct bundle *bundle, const char *digest)
{
    free(bundle->digest);
    bundle->digest = strdup(digest);
    return bundle->digest != NULL;
}

const char *bundle_digest(const struct bundle *bundle)
{
    return bundle->carried ? bundle->digest : NULL;
}

void bundle_shed(struct bundle *bundle)
{
    bundle_seal(bundle);
    for (size_t i = 0; i < bundle->file_count; i++) {
        struct bundle_file *file = bundle->files[i];
        free((char *)file->bytes);
        *file = (struct bundle_file){.path = file->path, .bytes = NULL, .error = file->error ? file->error : ENODATA, .stamp = file->stamp};
    }
}

struct bundle_file *bundle_keep_file(struct bundle *bundle, char *path, char *bytes, size_t len, int error)
{
    struct bundle_file *file = calloc(1, sizeof(*file));
    struct bundle_file **files = array_room(bundle->files, bundle->file_count, sizeof(struct bundle_file *));
    if (files != NULL)
        bundle->files = files;
    if (file == NULL || files == NULL || path == NULL || bytes == NULL) {
        free(file);
        free(path);
        free(bytes);
        return NULL;
    }
    *file = (struct bundle_file){.path = path, .bytes = bytes, .len = len, .error = error};
    files[bundle->file_count++] = file;
    return file;
}

static struct bundle_file *bundle_find_file(const struct bundle *bundle, const char *path)
{
    for (size_t i = 0; i < bundle->file_count; i++) {
        if (strcmp(bundle->files[i]->path, path) == 0)
            return bundle->files[i];
    }
    return NULL;
}

/* Reads to the end, bounded. NULL: out of memory; any other failure is in *error. A final NUL is added, so that no file's bytes are NULL. */
static char *bundle_slurp(int fd, size_t *len, int *error)
{
    size_t room = 64 << 10;
    char *bytes = malloc(room + 1);
    *len = 0;
    while (bytes != NULL) {
        ssize_t got = read(fd, bytes + *len, room - *len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            *error = got < 0 ? errno : 0;
            break;
        }
        *len += (size_t)got;
        if (*len > BUNDLE_FILE_MAX) {
            *error = EFBIG;
            break;
        }
        if (*len < room)
            continue;
        room *= 2;
        char *grown = realloc(bytes, room + 1);
        if (grown == NULL)
            free(bytes);
        bytes = grown;
    }
    if (bytes != NULL) {
        *len = *error ? 0 : *len;
        bytes[*len] = '\0';
    }
    return bytes;
}

/* Never 0: also a file that is not there is so now, and may be there later. */
static uint64_t bundle_stamp(const struct stat *file)
{
    const uint64_t facts[] = {file->st_dev,
                              file->st_ino,
                              (uint64_t)file->st_size,
                              (uint64_t)file->st_mtim.tv_sec,
                              (uint64_t)file->st_mtim.tv_nsec,
                              (uint64_t)file->st_ctim.tv_sec,
                              (uint64_t)file->st_ctim.tv_nsec};
    return hash_bytes(facts, sizeof(facts), 0) | 1;
}

/* Zeroed for a file that is not there. */
static struct stat bundle_look(const char *path)
{
    struct stat found;
    if (stat(path, &found) != 0)
        memset(&found, 0, sizeof(found));
    return found;
}

/* A directory says itself that it cannot be read. */
static bool bundle_is_readable(const struct stat *found)
{
    return S_ISREG(found->st_mode) || S_ISDIR(found->st_mode);
}

/* A FIFO or a device may never begin, or never end: it is not even opened; nor read, should one have come in between. What was opened is looked at
 * before it is read: what is written meanwhile is another state. -1 with errno. */
static int bundle_open(const char *path, struct stat *found)
{
    *found = bundle_look(path);
    if (found->st_mode != 0 && !bundle_is_readable(found)) {
        errno = BUNDLE_NO_FILE;
        return -1;
    }
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -1;
    const int error = fstat(fd, found) != 0 ? errno : bundle_is_readable(found) ? 0 : BUNDLE_NO_FILE;
    if (error == 0)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

const char *bundle_error_text(int error)
{
    return error == BUNDLE_NO_FILE ? "it is no regular file" : strerror(error);
}

static struct bundle_file *bundle_open_file(struct bundle *bundle, const char *path)
{
    size_t len = 0;
    struct stat found;
    const int fd = bundle_open(path, &found);
    int error = fd < 0 ? errno : 0;
    char *bytes = error == 0 ? bundle_slurp(fd, &len, &error) : strdup("");
    if (fd >= 0)
        close(fd);
    struct bundle_file *file = bundle_keep_file(bundle, strdup(path), bytes, len, error);
    if (file != NULL)
        file->stamp = bundle_stamp(&found);
    return file;
}

const struct bundle_file *bundle_file(struct bundle *bundle, const char *path)
{
    struct bundle_file *file = bundle_find_file(bundle, path);
    if (file != NULL || bundle->sealed || bundle->file_count >= BUNDLE_ITEMS_MAX)
        return file;
    return bundle_open_file(bundle, path);
}

static char *bundle_copy(const void *bytes, size_t len)
{
    char *copy = malloc(len + 1);
    if (copy != NULL) {
        if (len > 0)
            memcpy(copy, bytes, len);
        copy[len] = '\0';
    }
    return copy;
}

bool bundle_put(struct bundle *bundle, const char *path, const void *bytes, size_t len)
{
    struct bundle_file *file = bundle_find_file(bundle, path);
    char *copy = bundle_copy(bytes, len);
    if (file == NULL)
        return bundle_keep_file(bundle, strdup(path), copy, len, 0) != NULL;
    if (copy == NULL)
        return false;
    free((char *)file->bytes);
    file->bytes = copy;
    file->len = len;
    file->error = 0;
    return true;
}

/* A directory that is not there holds nothing; one that may not be read might hold a denial, and must not be passed over. */
static int bundle_glob_error(const char *path, int error)
{
    (void)path;
    return error != ENOENT && error != ENOTDIR;
}

static void bundle_glob_ask(struct bundle_globbed *globbed)
{
    glob_t found = {0};
    int result = glob(globbed->pattern, GLOB_NOSORT, bundle_glob_error, &found);
    if (result == GLOB_NOSPACE)
        globbed->error = ENOMEM;
    else if (result != 0 && result != GLOB_NOMATCH)
        globbed->error = EACCES;
    for (size_t i = 0; i < found.gl_pathc && globbed->error == 0; i++) {
        if (!path_list_add(&globbed->found, strdup(found.gl_pathv[i])))
            globbed->error = ENOMEM;
    }
    globfree(&found);
    path_list_sort(&globbed->found);
}

static struct bundle_globbed *bundle_find_glob(const struct bundle *bundle, const char *pattern)
{
    for (size_t i = 0; i < bundle->glob_count; i++) {
        if (strcmp(bundle->globs[i]->pattern, pattern) == 0)
            return bundle->globs[i];
    }
    return NULL;
}

struct bundle_globbed *bundle_add_glob(struct bundle *bundle, const char *pattern)
{
    struct bundle_globbed *globbed = calloc(1, sizeof(*globbed));
    struct bundle_globbed **globs = array_room(bundle->globs, bundle->glob_count, sizeof(struct bundle_globbed *));
    if (globs != NULL)
        bundle->globs = globs;
    if (globbed != NULL)
        globbed->pattern = strdup(pattern);
    if (globs == NULL || globbed == NULL || globbed->pattern == NULL) {
        bundle_glob_free(globbed);
        return NULL;
    }
    globs[bundle->glob_count++] = globbed;
    return globbed;
}

const char *const *bundle_glob(struct bundle *bundle, const char *pattern, size_t *count)
{
    struct bundle_globbed *globbed = bundle_find_glob(bundle, pattern);
    *count = 0;
    if (globbed == NULL && bundle->sealed) {
        errno = ENOENT;
        return NULL;
    }
    if (globbed == NULL) {
        globbed = bundle->glob_count < BUNDLE_ITEMS_MAX ? bundle_add_glob(bundle, pattern) : NULL;
        if (globbed == NULL) {
            errno = ENOMEM;
            return NULL;
        }
        bundle_glob_ask(globbed);
    }
    errno = globbed->error;
    if (globbed->error != 0 || globbed->found.count == 0)
        return NULL;
    *count = globbed->found.count;
    return (const char *const *)globbed->found.paths;
}

const struct bundle_file *bundle_file_at(const struct bundle *bundle, size_t index)
{
    return index < bundle->file_count ? bundle->files[index] : NULL;
}

const char *bundle_glob_at(const struct bundle *bundle, size_t index)
{
    return index < bundle->glob_count ? bundle->globs[index]->pattern : NULL;
}

/* ---- what became of it on the disk ---- */

static uint64_t bundle_state_glob(const struct bundle_globbed *globbed, uint64_t state)
{
    state = hash_bytes(&globbed->error, sizeof(globbed->error), state);
    for (size_t i = 0; i < globbed->found.count; i++)
        state = hash_bytes(globbed->found.paths[i], strlen(globbed->found.paths[i]) + 1, state);
    return state;
}

uint64_t bundle_state_read(const struct bundle *bundle)
{
    uint64_t state = 0;
    for (size_t i = 0; i < bundle->file_count; i++)
        state = hash_bytes(&bundle->files[i]->stamp, sizeof(bundle->files[i]->stamp), state);
    for (size_t i = 0; i < bundle->glob_count; i++)
        state = bundle_state_glob(bundle->globs[i], state);
    return state;
}

static uint64_t bundle_stamp_now(const struct bundle_file *file)
{
    if (file->stamp == 0)
        return 0;
    const struct stat found = bundle_look(file->path);
    return bundle_stamp(&found);
}

uint64_t bundle_state_now(const struct bundle *bundle)
{
    uint64_t state = 0;
    for (size_t i = 0; i < bundle->file_count; i++) {
        const uint64_t stamp = bundle_stamp_now(bundle->files[i]);
        state = hash_bytes(&stamp, sizeof(stamp), state);
    }
    for (size_t i = 0; i < bundle->glob_count; i++) {
        struct bundle_globbed now = {.pattern = bundle->globs[i]->pattern};
        bundle_glob_ask(&now);
        state = bundle_state_glob(&now, state);
        path_list_fini(&now.found);
    }
    return state;
}
