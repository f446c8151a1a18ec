/* The generations of the server, as the journal tells them apart: by a mark that their sessions' ids carry, and by what says that one has ended. */
#ifndef EXEAT_AUDIT_JOURNAL_GENERATIONS_H
#define EXEAT_AUDIT_JOURNAL_GENERATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "base/ulid.h"

/* The mark of a generation, for ulid_make(): 1 and up, so many apart that no two which live at once have the same. 0: its number is not known. */
unsigned journal_generation_mark(uint32_t generation);

/* What the detail of a `stop` or `recovered` ends with where it is not the end of all: without it no server runs behind that record. */
void journal_generation_say_end(struct text *detail, unsigned mark);
/* The mark that it names; 0: it does not end so. */
unsigned journal_generation_read_end(const char *detail, size_t len);

/* A set of marks. Zeroed, it is empty. */
struct journal_generations {
    uint64_t bits[ULID_MARKS / 64];
    size_t count;
};

void journal_generations_add(struct journal_generations *generations, unsigned mark);
void journal_generations_remove(struct journal_generations *generations, unsigned mark);
bool journal_generations_has(const struct journal_generations *generations, unsigned mark);

/* Any one of them; 0: it is empty. */
unsigned journal_generations_first(const struct journal_generations *generations);

#endif
