/* The file of [audit] sign_key: who may read it, and the key in it. */
#include "config/sign_key.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX 16384 /* text may stand around the key */
#define FOREIGN_WRITE (S_IWGRP | S_IWOTH)
#define FOREIGN_READ S_IROTH

struct ed25519_key *sign_key_read(int fd)
{
    char pem[FILE_MAX];
    const ssize_t len = pread(fd, pem, sizeof(pem), 0);
    struct ed25519_key *key = len > 0 ? ed25519_read_private(pem, (size_t)len) : NULL;
    explicit_bzero(pem, sizeof(pem));
    return key;
}

static void sign_key_fault(const struct audit_settings *audit, struct fault_list *faults, const char *what)
{
    fault_add(faults, audit->sign_key_at, "audit", "sign_key", "%.300s %s", audit->sign_key, what);
}

/* By the file itself: what its path names may be another one by now. */
static bool sign_key_check(int fd, const struct audit_settings *audit, struct fault_list *faults)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        sign_key_fault(audit, faults, "is not a regular file");
        return false;
    }
    if (status.st_mode & FOREIGN_WRITE) {
        fault_add(faults, audit->sign_key_at, "audit", "sign_key",
                  "%.300s has mode %04o: others could put another in its place; allowed: 0600, or 0640", audit->sign_key,
                  (unsigned)status.st_mode & 07777);
        return false;
    }
    if (status.st_mode & FOREIGN_READ) /* where a container mounts its secrets there may be no others */
        fault_warn(faults, audit->sign_key_at, "audit", "sign_key", "%.300s has mode %04o: others could sign with it", audit->sign_key,
                   (unsigned)status.st_mode & 07777);
    struct ed25519_key *key = sign_key_read(fd);
    if (key == NULL)
        sign_key_fault(audit, faults, "holds no such key; allowed: an Ed25519 private key in PEM (PKCS#8), not encrypted");
    ed25519_free(key);
    return key != NULL;
}

static void sign_key_cannot(const struct audit_settings *audit, bool must, struct fault_list *faults, int error)
{
    if (error == EACCES && !must)
        fault_warn(faults, audit->sign_key_at, "audit", "sign_key", "%.300s may not be read by this user: what it holds was not checked",
                   audit->sign_key);
    else
        fault_add(faults, audit->sign_key_at, "audit", "sign_key", "%.300s cannot be read: %s", audit->sign_key, strerror(error));
}

int sign_key_open(const struct audit_settings *audit, bool must, struct fault_list *faults)
{
    if (audit->sign_key == NULL)
        return -1;
    const int fd = open(audit->sign_key, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        sign_key_cannot(audit, must, faults, errno);
        return -1;
    }
    if (sign_key_check(fd, audit, faults))
        return fd;
    close(fd);
    return -1;
}
