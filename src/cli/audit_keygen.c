/* `exeat audit keygen`: a pair of keys that signs checkpoints, in two files. */
#include "cli/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/journal_sibling.h"
#include "base/ed25519.h"
#include "base/log.h"
#include "cli/command.h"

#define PUBLIC_ENDING ".pub"

static const char KEYGEN_USAGE[] = "usage: exeat audit keygen KEY\n"
                                   "\n"
                                   "Makes a pair of Ed25519 keys: the private one in the new file KEY, readable by its owner alone,\n"
                                   "by which exeat signs its audit records ([audit] sign_key), and the public one in KEY" PUBLIC_ENDING ", by\n"
                                   "which 'exeat audit verify' checks them. Neither is written over a file that is there.\n"
                                   "\n"
                                   "  -h, --help  this text\n";

struct keygen_file {
    const char *path;
    mode_t mode;
    int fd; /* -1: it is not there, or not ours */
    char pem[ED25519_PEM_MAX];
};

static bool keygen_fail(const char *path, const char *why)
{
    log_error("%s: %s", path, why);
    return false;
}

/* A key is never written over, nor through a symbolic link. */
static bool keygen_create(struct keygen_file *file)
{
    file->fd = open(file->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, file->mode);
    if (file->fd >= 0)
        return true;
    return keygen_fail(file->path, errno == EEXIST ? "it is there already, and is left as it is" : strerror(errno));
}

static bool keygen_write(const struct keygen_file *file)
{
    const size_t len = strlen(file->pem);
    const ssize_t wrote = write(file->fd, file->pem, len);
    if (wrote >= 0 && (size_t)wrote < len)
        errno = ENOSPC;
    return ((size_t)wrote == len && fsync(file->fd) == 0) || keygen_fail(file->path, strerror(errno));
}

static bool keygen_sync_names(const struct keygen_file *file)
{
    return journal_sibling_sync(file->path) || keygen_fail(file->path, strerror(errno));
}

static void keygen_close(const struct keygen_file *file, bool keep)
{
    if (file->fd < 0)
        return;
    close(file->fd);
    if (!keep)
        unlink(file->path);
}

/* Both files or none. */
static bool keygen_save(struct keygen_file *private, struct keygen_file *public)
{
    const bool saved = keygen_create(private) && keygen_create(public) && keygen_write(private) && keygen_write(public) && keygen_sync_names(private);
    keygen_close(private, saved);
    keygen_close(public, saved);
    return saved;
}

/* The configuration is told by the whole path, since it may stand in another directory. */
static void keygen_say(const struct keygen_file *private, const struct keygen_file *public, const struct ed25519_key *key)
{
    char *whole = realpath(private->path, NULL);
    printf("key %s\n"
           "%s: the private key. What exeat needs in its configuration to sign with it:\n"
           "    [audit]\n"
           "    sign_key = %s\n"
           "%s: the public key, for 'exeat audit verify --key'.\n"
           "    Keep a copy where nobody can change it who can write the audit file.\n",
           ed25519_id(key), private->path, whole != NULL ? whole : private->path, public->path);
    free(whole);
}

static int keygen_make(struct keygen_file *private, struct keygen_file *public)
{
    struct ed25519_key *key = ed25519_generate();
    const bool made = key != NULL && ed25519_write_private(key, private->pem) && ed25519_write_public(key, public->pem);
    if (!made)
        log_error("OpenSSL failed to make a key");
    const bool saved = made && keygen_save(private, public);
    if (saved)
        keygen_say(private, public, key);
    explicit_bzero(private->pem, sizeof(private->pem));
    ed25519_free(key);
    return saved ? COMMAND_OK : COMMAND_ERROR;
}

static int keygen_run(const char *path)
{
    struct keygen_file private = {.path = path, .mode = 0600, .fd = -1}, public = {.mode = 0644, .fd = -1};
    char *beside;
    if (asprintf(&beside, "%s" PUBLIC_ENDING, path) < 0)
        return command_no_memory();
    public.path = beside;
    const int status = keygen_make(&private, &public);
    free(beside);
    return status;
}

/* What would not be the name of a private key. */
static bool keygen_is_name(const char *path)
{
    const size_t len = strlen(path), ending = strlen(PUBLIC_ENDING);
    if (strcmp(path, "-") == 0)
        log_error("a key is made in a file of its own; standard output is none");
    else if (len == 0 || path[len - 1] == '/')
        log_error("\"%s\" is no name of a file", path);
    else if (len > ending && strcmp(path + len - ending, PUBLIC_ENDING) == 0)
        log_error("%s: name the private key; the public one gets " PUBLIC_ENDING " behind that", path);
    else
        return true;
    return false;
}

int command_audit_keygen(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "h", OPTIONS, NULL)) != -1) {
        if (option == 'h')
            return command_help(KEYGEN_USAGE);
        return command_misuse("audit keygen");
    }
    if (argc - optind != 1) {
        log_error(argc == optind ? "which KEY?" : "one KEY at a time");
        return command_misuse("audit keygen");
    }
    return keygen_is_name(argv[optind]) ? keygen_run(argv[optind]) : COMMAND_ERROR;
}
