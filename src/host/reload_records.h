/* What the audit file is to say of reloads, in words: owed until there is a server that writes it. */
#ifndef EXEAT_HOST_RELOAD_RECORDS_H
#define EXEAT_HOST_RELOAD_RECORDS_H

#include <stddef.h>

#include "config/candidate.h"

/* The oldest first; zeroed, none is owed. So many at most: past them the oldest are lost, which the log says. */
#define RELOAD_RECORDS_MAX 100

struct reload_records {
    struct reload_record *first;
    size_t count;
};

void reload_records_fini(struct reload_records *records);

/* `serving` took the place of what had this digest. */
void reload_records_taken(struct reload_records *records, const char *old_digest, const struct candidate *serving);

/* `serving` stays; `next` (NULL: it could not even be read) was refused for these faults. */
void reload_records_refused(struct reload_records *records, const struct candidate *serving, const struct candidate *next,
                            const struct fault_list *faults);

/* Those that the server at this end takes are owed no more. */
void reload_records_tell(struct reload_records *records, int channel);

#endif
