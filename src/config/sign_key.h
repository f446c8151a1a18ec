/* The file of [audit] sign_key: who may read it, and the key in it. */
#ifndef EXEAT_CONFIG_SIGN_KEY_H
#define EXEAT_CONFIG_SIGN_KEY_H

#include "base/ed25519.h"
#include "config/config.h"
#include "config/fault.h"

/* It is no part of the bundle, which the server gets too. */

/* Opens it, close-on-exec, and looks at all of it: a private key, which nobody but its owner can change. -1: there is none, or a fault; that this
 * user may not read it is only a warning where `must` is false. That others than its owner and group can read it is one too. */
int sign_key_open(const struct audit_settings *audit, bool must, struct fault_list *faults);

/* The key in an open file, read from its beginning wherever it stands. NULL: there is none. */
struct ed25519_key *sign_key_read(int fd);

#endif
