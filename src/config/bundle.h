/* Every file a configuration is made of, read once: what the supervisor judged is what the server serves, byte for byte. */
#ifndef EXEAT_CONFIG_BUNDLE_H
#define EXEAT_CONFIG_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bundle;

struct bundle_file {
    const char *path; /* as the configuration names it, made absolute or relative to the including file's directory */
    const char *bytes;
    size_t len;
    int error;      /* errno when it could not be read, else 0; bundle_error_text() knows it */
    uint64_t stamp; /* which file this was, and of when, as it was opened; 0: it was not read from a disk */
};

/* Why it could not be read. */
const char *bundle_error_text(int error);

/* A bundle that reads files from the disk as they are asked for and keeps them. */
struct bundle *bundle_new(void);
void bundle_free(struct bundle *bundle);

/* The file, from memory or, in a bundle of the disk, read now. NULL: out of memory, or not among the files of a sealed bundle. */
const struct bundle_file *bundle_file(struct bundle *bundle, const char *path);
/* From now on nothing is read from the disk: what is not among the files is not there. For tests. */
void bundle_seal(struct bundle *bundle);
/* Puts a file there without a disk (the embedded default, tests, fuzzing). */
bool bundle_put(struct bundle *bundle, const char *path, const void *bytes, size_t len);
/* The paths that a glob(7) pattern names, in byte order; kept in the bundle, too. *count is set; NULL when none, with errno 0, or when it could
 * not be asked (a directory that may not be read, out of memory, a sealed bundle that never was asked), with that errno. The array and strings
 * are the bundle's. */
const char *const *bundle_glob(struct bundle *bundle, const char *pattern, size_t *count);

/* Keeps what the files were found to mean (config_load does): it goes with them to another process. False: out of memory. */
bool bundle_set_digest(struct bundle *bundle, const char *digest);
/* What another process of ours found them to mean, which need not be found out again; NULL: the bundle did not come from one. */
const char *bundle_digest(const struct bundle *bundle);

/* Frees the bytes of all files and seals it: what was asked for is still known, but not what it held. */
void bundle_shed(struct bundle *bundle);

/* Everything that was asked for so far, by number; NULL past the last. */
const struct bundle_file *bundle_file_at(const struct bundle *bundle, size_t index);
const char *bundle_glob_at(const struct bundle *bundle, size_t index); /* the pattern */

/* In one number which files these were when they were read, and which they would be if they were read from the disk now. */
uint64_t bundle_state_read(const struct bundle *bundle);
uint64_t bundle_state_now(const struct bundle *bundle);

/* Through a file to another process of ours: write everything that was asked for (files and globs), read it back, from the file's start and without
 * moving its offset, as a sealed bundle. */
bool bundle_write(const struct bundle *bundle, int fd);
struct bundle *bundle_read(int fd);

#endif
