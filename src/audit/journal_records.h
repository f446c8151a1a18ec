/* Records one behind another, each its length (32 bits) and its text: as packets carry them, and a batch keeps them. */
#ifndef EXEAT_AUDIT_JOURNAL_RECORDS_H
#define EXEAT_AUDIT_JOURNAL_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What one takes. */
#define JOURNAL_RECORDS_SIZE(len) (sizeof(uint32_t) + (len))

/* Writes one, JOURNAL_RECORDS_SIZE(len) bytes. */
void journal_records_put(uint8_t *at, const char *text, size_t len);

/* The record at *at, of *left bytes, both of which are moved behind it. False: what is left is none, and nothing was moved. */
bool journal_records_next(const uint8_t **at, size_t *left, const char **text, size_t *len);

#endif
