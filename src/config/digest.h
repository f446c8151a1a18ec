/* One number for what a configuration means: SHA-256 over its facts, in whatever order and however often they were said. */
#ifndef EXEAT_CONFIG_DIGEST_H
#define EXEAT_CONFIG_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

struct digest;

struct digest *digest_new(void);
void digest_free(struct digest *digest);

/* A fact is a line such as `hosts internal host *.example`. A failure is remembered. */
void digest_add(struct digest *digest, const char *fact, size_t len);

/* Writes `sha256:` and the hex digits. False when something failed; then *out is "". */
bool digest_finish(struct digest *digest, char out[CONFIG_DIGEST_SIZE]);

#endif
