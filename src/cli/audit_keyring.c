/* The public keys that a command was given. */
#include "cli/audit_keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/command.h"

#define FILE_MAX (64 * 1024)
#define PUBLIC_BEGIN "-----BEGIN PUBLIC KEY-----"
#define PRIVATE_BEGIN "PRIVATE KEY-----" /* also where that is encrypted, or of another kind */

static bool audit_keyring_fail(const char *path, const char *why)
{
    log_error("%s: %s", path, why);
    return false;
}

/* At most `room` bytes. -1 with errno. */
static ssize_t audit_keyring_read_all(int fd, char *bytes, size_t room)
{
    size_t len = 0;
    while (len < room) {
        const ssize_t got = read(fd, bytes + len, room - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

static ssize_t audit_keyring_read_file(const char *path, char *bytes, size_t room)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    const ssize_t len = fd >= 0 ? audit_keyring_read_all(fd, bytes, room) : -1;
    if (len < 0)
        audit_keyring_fail(path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return len;
}

static bool audit_keyring_keep(struct audit_keyring *keyring, struct ed25519_key *key)
{
    struct ed25519_key **keys = realloc(keyring->keys, (keyring->count + 1) * sizeof(*keys));
    if (keys == NULL) {
        ed25519_free(key);
        return command_no_memory() == COMMAND_OK;
    }
    keyring->keys = keys;
    keyring->keys[keyring->count++] = key;
    return true;
}

static const char *audit_keyring_find_word(const char *bytes, size_t len, const char *word)
{
    return memmem(bytes, len, word, strlen(word));
}

static bool audit_keyring_take(struct audit_keyring *keyring, const char *path, const char *bytes, size_t len)
{
    const char *first = audit_keyring_find_word(bytes, len, PUBLIC_BEGIN);
    if (len > FILE_MAX)
        return audit_keyring_fail(path, "it is too large for a key");
    if (audit_keyring_find_word(bytes, len, PRIVATE_BEGIN) != NULL)
        return audit_keyring_fail(
            path, "this is a private key, which exeat alone needs; --key takes the public one, from the file beside it that ends in .pub");
    if (first != NULL && audit_keyring_find_word(first + 1, len - (size_t)(first + 1 - bytes), PUBLIC_BEGIN) != NULL)
        return audit_keyring_fail(path, "there are several keys in it; give each a file and a --key of its own");
    struct ed25519_key *key = ed25519_read_public(bytes, len);
    return key != NULL ? audit_keyring_keep(keyring, key) : audit_keyring_fail(path, "this is no public Ed25519 key (PEM)");
}

bool audit_keyring_add(struct audit_keyring *keyring, const char *path)
{
    char *bytes = malloc(FILE_MAX + 1);
    if (bytes == NULL)
        return command_no_memory() == COMMAND_OK;
    const ssize_t len = audit_keyring_read_file(path, bytes, FILE_MAX + 1);
    const bool good = len >= 0 && audit_keyring_take(keyring, path, bytes, (size_t)len);
    explicit_bzero(bytes, FILE_MAX + 1); /* in case it was a private one */
    free(bytes);
    return good;
}

void audit_keyring_fini(struct audit_keyring *keyring)
{
    for (size_t i = 0; i < keyring->count; i++)
        ed25519_free(keyring->keys[i]);
    free(keyring->keys);
}
