/* The public keys that a command was given. */
#ifndef EXEAT_CLI_AUDIT_KEYRING_H
#define EXEAT_CLI_AUDIT_KEYRING_H

#include <stdbool.h>

#include "audit/audit_signature.h"

/* The key in this file, PEM. False: an error has been printed; fini may be called all the same. */
bool audit_keyring_add(struct audit_keyring *keyring, const char *path);
void audit_keyring_fini(struct audit_keyring *keyring);

#endif
