/* Names below which strangers register (libpsl). */
#ifndef EXEAT_POLICY_PUBLIC_SUFFIX_H
#define EXEAT_POLICY_PUBLIC_SUFFIX_H

#include <stdbool.h>

/* True when `name` (normal form) is itself on the public suffix list, by a rule of its own (a top-level domain that the list does not know
 * is not). */
bool public_suffix_is(const char *name);

/* The part of `name` that somebody registered (`example.co.uk` of `a.b.example.co.uk`), a pointer into it; NULL when it is a suffix itself. */
const char *public_suffix_registrable(const char *name);

#endif
