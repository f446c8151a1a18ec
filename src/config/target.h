/* HOST[:PORT] as a test of the policy names it. */
#ifndef EXEAT_CONFIG_TARGET_H
#define EXEAT_CONFIG_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/hostname.h"

/* Reads `host`, `host:port`, `[v6]` or `[v6]:port`; 443 where no port stands. False: neither name nor address, or no port. */
bool target_read(const char *text, struct host *host, uint16_t *port);

#endif
