/* The chain over the lines of an audit file: each carries the hash of all before it. */
#ifndef EXEAT_AUDIT_CHAIN_H
#define EXEAT_AUDIT_CHAIN_H

#include <stdbool.h>
#include <stddef.h>

#define CHAIN_LEN 44 /* characters: a SHA-256 in base64 (RFC 4648 4) */

/* What stands for the `chain` of the line before the first. */
#define CHAIN_BEGINNING "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

/* Where a chain stands: the `chain` of the last line as text, and what hashing needs. */
struct chain;

/* At the beginning. NULL: out of memory. */
struct chain *chain_new(void);
void chain_free(struct chain *chain);

/* Goes on behind a line whose `chain` was this text of CHAIN_LEN characters; NULL: at the beginning. */
void chain_set(struct chain *chain, const char *text);

/* CHAIN_LEN characters and a NUL; valid until the next call. */
const char *chain_text(const struct chain *chain);

/* One line on: base64(SHA-256(ASCII of the chain before ‖ `bytes`)), where `bytes` are those of the line before `,"chain":`. False: OpenSSL
 * failed, and the chain stands where it stood. */
bool chain_add(struct chain *chain, const void *bytes, size_t len);

#endif
