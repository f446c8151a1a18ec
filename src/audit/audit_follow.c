/* An audit file read while it is written: over rotations, and over what cuts it. */
#include "audit/audit_follow.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit_peek.h"
#include "audit/journal_head.h"
#include "audit/journal_sibling.h"
#include "base/text.h"

#define BEGINNING_MAX 64 /* bytes, no more than the shortest record has: in it are its number and time */
#define PATH_TEXT_MAX 4096
#define PACKED_ENDING ".gz"

struct audit_follow {
    const char *path;
    uint64_t seq; /* of the last record; 0: none */

    struct audit_input *input; /* NULL: no file is open */
    struct stat identity;      /* of the open file */
    char beginning[BEGINNING_MAX];
    size_t beginning_len;        /* 0: not known yet */
    bool is_at_end;              /* and was left to others since */
    bool is_complete;            /* another one is written now */
    char between[PATH_TEXT_MAX]; /* the open file, when it is not that at `path`; else "" */
    unsigned looks;              /* how often none was found that goes on from `seq` */
    const char *fault;
};

struct audit_follow *audit_follow_new(const char *path, uint64_t after)
{
    struct audit_follow *follow = calloc(1, sizeof(*follow));
    if (follow != NULL) {
        follow->path = path;
        follow->seq = after;
    }
    return follow;
}

void audit_follow_free(struct audit_follow *follow)
{
    if (follow != NULL)
        audit_input_close(follow->input);
    free(follow);
}

static bool audit_follow_ends_with(const char *name, const char *ending)
{
    const size_t len = strlen(name), ending_len = strlen(ending);
    return len >= ending_len && strcmp(name + len - ending_len, ending) == 0;
}

/* A rotated file beside `path`, by its name. */
static bool audit_follow_is_sibling(const char *name, const char *base)
{
    const size_t base_len = strlen(base);
    return strncmp(name, base, base_len) == 0 && name[base_len] != '\0' && !journal_head_is_path(name);
}

/* While a file is packed it is there twice, and only as it was it is whole. */
static bool audit_follow_is_original(const struct audit_follow *follow, const char *path)
{
    return audit_follow_ends_with(follow->between, PACKED_ENDING) && !audit_follow_ends_with(path, PACKED_ENDING);
}

/* Becomes the file between when its first record is behind `seq` and before `least`, which becomes the number of that. */
static void audit_follow_try(struct audit_follow *follow, const char *path, uint64_t *least)
{
    const char *why;
    uint64_t first;
    if (!audit_peek(&first, path, &why) || first <= follow->seq)
        return;
    if (first > *least || (first == *least && !audit_follow_is_original(follow, path)))
        return;
    *least = first;
    text_copy(follow->between, sizeof(follow->between), path, strlen(path));
}

static void audit_follow_search(struct audit_follow *follow, DIR *directory, uint64_t *least)
{
    const char *slash = strrchr(follow->path, '/'), *base = slash != NULL ? slash + 1 : follow->path;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char name[PATH_TEXT_MAX];
        struct text path;
        text_init(&path, name, sizeof(name));
        text_add_bytes(&path, follow->path, (size_t)(base - follow->path));
        text_add(&path, entry->d_name);
        if (!path.cut && audit_follow_is_sibling(entry->d_name, base))
            audit_follow_try(follow, name, least);
    }
}

/* Where the next file begins: the one between the last record and the file at `path`, which begins with `first`, if there is any; else that. */
static uint64_t audit_follow_find_next(struct audit_follow *follow, uint64_t first)
{
    uint64_t least = first;
    follow->between[0] = '\0';
    if (follow->seq == 0 || first == AUDIT_PEEK_NONE || first <= follow->seq + 1)
        return first;
    DIR *directory = journal_sibling_list(follow->path);
    if (directory == NULL)
        return first;
    audit_follow_search(follow, directory, &least);
    closedir(directory);
    return least;
}

/* True: what is missing may turn up, and be it under another name. */
static bool audit_follow_looks_again(struct audit_follow *follow)
{
    return follow->looks++ < AUDIT_FOLLOW_LOOKS;
}

static bool audit_follow_is_missing(const struct audit_follow *follow, uint64_t next)
{
    return follow->seq != 0 && next != AUDIT_PEEK_NONE && next > follow->seq + 1;
}

/* A path may name nothing for a moment, between the rename and the new file, and then an empty one. */
static bool audit_follow_exists(const struct audit_follow *follow, struct stat *status)
{
    return stat(follow->path, status) == 0 && status->st_size > 0;
}

static enum audit_input_result audit_follow_fail(struct audit_follow *follow, const char *fault)
{
    follow->fault = fault;
    return AUDIT_INPUT_FAILED;
}

static bool audit_follow_is_open(const struct audit_follow *follow, const struct stat *status)
{
    return status->st_ino == follow->identity.st_ino && status->st_dev == follow->identity.st_dev;
}

/* The file that comes next, or the one at `path`. */
static bool audit_follow_open_one(struct audit_follow *follow, const char *path)
{
    follow->beginning_len = 0;
    follow->input = audit_input_open(path);
    if (follow->input == NULL || fstat(audit_input_fd(follow->input), &follow->identity) != 0) {
        audit_follow_fail(follow, strerror(errno));
        return false;
    }
    audit_input_set_growing(follow->input, !follow->is_complete);
    return true;
}

static void audit_follow_close(struct audit_follow *follow)
{
    audit_input_close(follow->input);
    follow->input = NULL;
}

/* The file between. Once it is open it is not found again, whatever is in it. */
static enum audit_input_result audit_follow_open_between(struct audit_follow *follow, uint64_t first)
{
    if (!audit_follow_open_one(follow, follow->between))
        return audit_follow_looks_again(follow) ? AUDIT_INPUT_END : AUDIT_INPUT_FAILED;
    follow->seq = first - 1;
    return AUDIT_INPUT_LINE;
}

static enum audit_input_result audit_follow_open_path(struct audit_follow *follow, struct stat *status)
{
    if (!audit_follow_open_one(follow, follow->path))
        return audit_follow_exists(follow, status) ? AUDIT_INPUT_FAILED : AUDIT_INPUT_END;
    if (audit_follow_is_open(follow, status))
        return AUDIT_INPUT_LINE;
    audit_follow_close(follow);
    return AUDIT_INPUT_END;
}

/* LINE: a file is open now. END: there is none yet, or it was renamed while it was looked at. */
static enum audit_input_result audit_follow_open(struct audit_follow *follow)
{
    struct stat status;
    uint64_t first;
    const char *why;
    if (!audit_follow_exists(follow, &status))
        return AUDIT_INPUT_END;
    if (!audit_peek(&first, follow->path, &why))
        return audit_follow_exists(follow, &status) ? audit_follow_fail(follow, why) : AUDIT_INPUT_END;
    const uint64_t next = audit_follow_find_next(follow, first);
    if (audit_follow_is_missing(follow, next) && audit_follow_looks_again(follow))
        return AUDIT_INPUT_END;
    follow->is_complete = follow->between[0] != '\0';
    const enum audit_input_result result = follow->is_complete ? audit_follow_open_between(follow, next) : audit_follow_open_path(follow, &status);
    if (result == AUDIT_INPUT_LINE)
        follow->looks = 0;
    return result;
}

static bool audit_follow_begins_otherwise(const struct audit_follow *follow)
{
    char now[BEGINNING_MAX];
    const size_t len = follow->beginning_len;
    return pread(audit_input_fd(follow->input), now, len, 0) != (ssize_t)len || memcmp(now, follow->beginning, len) != 0;
}

/* True: the file was cut since, and is read on where it ends or begins now. */
static bool audit_follow_was_cut(struct audit_follow *follow)
{
    struct stat status;
    if (audit_follow_begins_otherwise(follow)) {
        follow->beginning_len = 0;
        return audit_input_seek(follow->input, 0);
    }
    return fstat(audit_input_fd(follow->input), &status) == 0 && (uint64_t)status.st_size < audit_input_offset(follow->input) &&
           audit_input_seek(follow->input, (uint64_t)status.st_size);
}

static bool audit_follow_was_replaced(const struct audit_follow *follow)
{
    struct stat status;
    return audit_follow_exists(follow, &status) && !audit_follow_is_open(follow, &status);
}

/* At the end of the open file. END: it may go on. */
static enum audit_input_result audit_follow_turn(struct audit_follow *follow)
{
    if (follow->is_complete) {
        audit_follow_close(follow);
        return AUDIT_INPUT_LINE;
    }
    if (audit_follow_was_cut(follow))
        return AUDIT_INPUT_LINE;
    follow->is_at_end = !audit_follow_was_replaced(follow);
    if (follow->is_at_end)
        return AUDIT_INPUT_END;
    follow->is_complete = true; /* but what came before the new file's first byte may not have been read yet */
    audit_input_set_growing(follow->input, false);
    return AUDIT_INPUT_LINE;
}

/* As soon as so much of it has been read: later it may be another. */
static enum audit_input_result audit_follow_give(struct audit_follow *follow)
{
    if (follow->beginning_len == 0 && audit_input_offset(follow->input) >= BEGINNING_MAX) {
        ssize_t got = pread(audit_input_fd(follow->input), follow->beginning, BEGINNING_MAX, 0);
        follow->beginning_len = got > 0 ? (size_t)got : 0;
    }
    return AUDIT_INPUT_LINE;
}

enum audit_input_result audit_follow_next(struct audit_follow *follow, struct audit_input_line *out)
{
    enum audit_input_result result = AUDIT_INPUT_LINE;
    if (follow->is_at_end)
        audit_follow_was_cut(follow); /* and may be longer again than it was */
    follow->is_at_end = false;
    while (result == AUDIT_INPUT_LINE) {
        if (follow->input == NULL) {
            result = audit_follow_open(follow);
            continue;
        }
        result = audit_input_next(follow->input, out);
        if (result == AUDIT_INPUT_FAILED)
            return audit_follow_fail(follow, audit_input_fault(follow->input));
        if (result == AUDIT_INPUT_LINE)
            return audit_follow_give(follow);
        result = audit_follow_turn(follow);
    }
    return result;
}

void audit_follow_set_seq(struct audit_follow *follow, uint64_t seq)
{
    follow->seq = seq;
}

const char *audit_follow_path(const struct audit_follow *follow)
{
    return follow->between[0] != '\0' ? follow->between : follow->path;
}

const char *audit_follow_fault(const struct audit_follow *follow)
{
    return follow->fault;
}
