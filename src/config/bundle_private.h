/* What a bundle is inside, for the two files that fill one: from the disk and through a descriptor. */
#ifndef EXEAT_CONFIG_BUNDLE_PRIVATE_H
#define EXEAT_CONFIG_BUNDLE_PRIVATE_H

#include "config/bundle.h"
#include "config/path.h"

#define BUNDLE_FILE_MAX ((size_t)256 << 20)
#define BUNDLE_ITEMS_MAX 65536

struct bundle_globbed {
    char *pattern;
    struct path_list found;
    int error;
};

struct bundle {
    bool sealed;
    struct bundle_file **files; /* each by itself: pointers that were given out stay good */
    size_t file_count;
    struct bundle_globbed **globs;
    size_t glob_count;
    char *digest; /* or NULL */
    bool carried; /* from another process */
};

/* Takes both malloc'd strings, also when it fails (NULL). Either may be NULL: out of memory. */
struct bundle_file *bundle_keep_file(struct bundle *bundle, char *path, char *bytes, size_t len, int error);

/* An answer to a pattern (copied) that names no path yet. */
struct bundle_globbed *bundle_add_glob(struct bundle *bundle, const char *pattern);

#endif
