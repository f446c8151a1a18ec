/* A seeded hash of bytes, for the tables of the house. */
#ifndef EXEAT_BASE_HASH_H
#define EXEAT_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* SipHash-1-3 of the bytes. The seed is drawn once a process by whoever owns a table that strangers can fill; tables of the configuration use 0. */
uint64_t hash_bytes(const void *bytes, size_t len, uint64_t seed);

/* A seed from getrandom(2). */
uint64_t hash_seed(void);

#endif
