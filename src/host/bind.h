/* Listening sockets, bound once by the supervisor and handed to every generation of the server. */
#ifndef EXEAT_HOST_BIND_H
#define EXEAT_HOST_BIND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/address.h"

/* Binds `count` sockets with SO_REUSEPORT to one address and listens; port 0 picks one, the same for all, and *address is then what was bound.
 * `tproxy`: they take connections to any address that netfilter hands over, and answer in its name; EPERM without CAP_NET_ADMIN or CAP_NET_RAW.
 * False with errno, and nothing left open. */
bool bind_listeners(struct endpoint *address, bool tproxy, int *fds, size_t count);
/* The same where it is known that whoever listens there already is this program. */
bool bind_listeners_beside(struct endpoint *address, bool tproxy, int *fds, size_t count);

/* Sockets that listen already are to be tproxy ones, too. False with errno. *made: they were not before, and
 * bind_unmake_tproxy() takes it back. */
bool bind_make_tproxy(const int *fds, size_t count, enum family family, bool *made);
void bind_unmake_tproxy(const int *fds, size_t count, enum family family);

/* From now on nobody new gets an answer from these listening sockets, as if the packets were lost; who has one is let in. When all those have been
 * accepted the sockets can be closed without a reset: before, whoever waits in their queues would get one. */
void bind_silence(const int *fds, size_t count);

/* The same without a filter, which some kernels leave to CAP_NET_ADMIN: as if each first packet had come from too far away. But whoever is let in
 * after it is accepted as deaf, and is to hear again; so only who accepts may do this. */
void bind_deafen(int fd);
void bind_hear(int fd);

/* Binds a Unix socket (mode 0660) and listens; one that a dead process left at the path goes, one on which somebody listens stays (EADDRINUSE), and
 * so does whatever is no socket (EEXIST). *inode is what bind_unlink() knows it by. Only with one thread: it sets the umask for a moment.
 * -1 with errno. */
int bind_unix(const char *path, ino_t *inode);

/* Removes what stands at the path, if it is that socket still. */
void bind_unlink(const char *path, ino_t inode);

#endif
