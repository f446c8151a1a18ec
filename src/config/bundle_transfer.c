/* A bundle on its way through a descriptor, between two processes of one program on one host. */
#include "config/bundle.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/bundle_private.h"

/* Stands at both ends, so that what was cut off is not taken for whole. */
#define BUNDLE_MAGIC UINT64_C(0x33656c646e756278)

/* Numbers are 64 bits as the host has them, strings stand behind their length. */

static bool bundle_write_all(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t put = write(fd, at, len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        at += put;
        len -= (size_t)put;
    }
    return true;
}

static bool bundle_write_number(int fd, uint64_t number)
{
    return bundle_write_all(fd, &number, sizeof(number));
}

static bool bundle_write_string(int fd, const char *bytes, size_t len)
{
    return bundle_write_number(fd, len) && bundle_write_all(fd, bytes, len);
}

static bool bundle_write_file(int fd, const struct bundle_file *file)
{
    return bundle_write_string(fd, file->path, strlen(file->path)) && bundle_write_number(fd, (uint64_t)file->error) &&
           bundle_write_number(fd, file->stamp) && bundle_write_string(fd, file->bytes, file->len);
}

static bool bundle_write_glob(int fd, const struct bundle_globbed *globbed)
{
    bool fine = bundle_write_string(fd, globbed->pattern, strlen(globbed->pattern)) && bundle_write_number(fd, (uint64_t)globbed->error) &&
                bundle_write_number(fd, globbed->found.count);
    for (size_t i = 0; fine && i < globbed->found.count; i++)
        fine = bundle_write_string(fd, globbed->found.paths[i], strlen(globbed->found.paths[i]));
    return fine;
}

bool bundle_write(const struct bundle *bundle, int fd)
{
    const char *digest = bundle->digest ? bundle->digest : "";
    bool fine = bundle_write_number(fd, BUNDLE_MAGIC) && bundle_write_string(fd, digest, strlen(digest)) &&
                bundle_write_number(fd, bundle->file_count) && bundle_write_number(fd, bundle->glob_count);
    for (size_t i = 0; fine && i < bundle->file_count; i++)
        fine = bundle_write_file(fd, bundle->files[i]);
    for (size_t i = 0; fine && i < bundle->glob_count; i++)
        fine = bundle_write_glob(fd, bundle->globs[i]);
    return fine && bundle_write_number(fd, BUNDLE_MAGIC);
}

/* The file's own offset is not used: several processes read it at once. */
struct bundle_source {
    int fd;
    off_t at;
};

static bool bundle_read_all(struct bundle_source *source, void *bytes, size_t len)
{
    char *at = bytes;
    while (len > 0) {
        ssize_t got = pread(source->fd, at, len, source->at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        source->at += got;
        len -= (size_t)got;
    }
    return true;
}

static bool bundle_read_number(struct bundle_source *source, uint64_t *number, uint64_t max)
{
    return bundle_read_all(source, number, sizeof(*number)) && *number <= max;
}

/* NULL when it is cut off, too long, or there is no memory. */
static char *bundle_read_string(struct bundle_source *source, size_t *len)
{
    uint64_t announced;
    char *bytes = bundle_read_number(source, &announced, BUNDLE_FILE_MAX) ? malloc(announced + 1) : NULL;
    if (bytes == NULL || !bundle_read_all(source, bytes, announced)) {
        free(bytes);
        return NULL;
    }
    bytes[announced] = '\0';
    *len = announced;
    return bytes;
}

static bool bundle_read_file(struct bundle *bundle, struct bundle_source *source)
{
    uint64_t error = 0, stamp = 0;
    size_t len = 0;
    char *path = bundle_read_string(source, &len);
    if (path == NULL || !bundle_read_number(source, &error, INT32_MAX) || !bundle_read_number(source, &stamp, UINT64_MAX)) {
        free(path);
        return false;
    }
    char *bytes = bundle_read_string(source, &len);
    struct bundle_file *file = bundle_keep_file(bundle, path, bytes, len, (int)error);
    if (file != NULL)
        file->stamp = stamp;
    return file != NULL;
}

static bool bundle_read_glob(struct bundle *bundle, struct bundle_source *source)
{
    uint64_t error = 0, count = 0;
    size_t len = 0;
    char *pattern = bundle_read_string(source, &len);
    struct bundle_globbed *globbed = pattern ? bundle_add_glob(bundle, pattern) : NULL;
    free(pattern);
    if (globbed == NULL || !bundle_read_number(source, &error, INT32_MAX) || !bundle_read_number(source, &count, UINT32_MAX))
        return false;
    globbed->error = (int)error;
    for (uint64_t i = 0; i < count; i++) {
        if (!path_list_add(&globbed->found, bundle_read_string(source, &len)))
            return false;
    }
    return true;
}

/* Empty: nobody has found it out yet. */
static bool bundle_read_digest(struct bundle *bundle, struct bundle_source *source)
{
    size_t len = 0;
    bundle->digest = bundle_read_string(source, &len);
    bundle->carried = len > 0;
    return bundle->digest != NULL;
}

static bool bundle_read_items(struct bundle *bundle, struct bundle_source *source)
{
    uint64_t magic = 0, files = 0, globs = 0;
    if (!bundle_read_number(source, &magic, BUNDLE_MAGIC) || magic != BUNDLE_MAGIC || !bundle_read_digest(bundle, source) ||
        !bundle_read_number(source, &files, BUNDLE_ITEMS_MAX) || !bundle_read_number(source, &globs, BUNDLE_ITEMS_MAX))
        return false;
    for (uint64_t i = 0; i < files; i++) {
        if (!bundle_read_file(bundle, source))
            return false;
    }
    for (uint64_t i = 0; i < globs; i++) {
        if (!bundle_read_glob(bundle, source))
            return false;
    }
    return bundle_read_number(source, &magic, BUNDLE_MAGIC) && magic == BUNDLE_MAGIC;
}

struct bundle *bundle_read(int fd)
{
    struct bundle *bundle = calloc(1, sizeof(*bundle));
    struct bundle_source source = {.fd = fd};
    if (bundle == NULL)
        return NULL;
    bundle->sealed = true;
    if (bundle_read_items(bundle, &source))
        return bundle;
    bundle_free(bundle);
    return NULL;
}
