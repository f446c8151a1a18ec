/* The records that the journal process makes itself: those about its file. */
#ifndef EXEAT_AUDIT_JOURNAL_OWN_H
#define EXEAT_AUDIT_JOURNAL_OWN_H

#include "audit/journal_head.h"
#include "base/text.h"

/* The text of `rotate`, the first record of a file (RECORD_TEXT_MAX characters and a NUL are room enough): it continues what ends with `end`. */
void journal_own_rotate(struct text *out, const char *instance, const struct journal_head *end);

#endif
