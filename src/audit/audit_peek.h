/* Where in a journal's history a file belongs: the number of its first record. */
#ifndef EXEAT_AUDIT_AUDIT_PEEK_H
#define EXEAT_AUDIT_AUDIT_PEEK_H

#include <stdbool.h>
#include <stdint.h>

#define AUDIT_PEEK_NONE UINT64_MAX

/* AUDIT_PEEK_NONE when no record stands at the file's beginning. False: it cannot be read; `why` is valid until the next call of anything. */
bool audit_peek(uint64_t *seq, const char *path, const char **why);

#endif
