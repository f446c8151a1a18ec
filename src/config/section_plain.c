/* [limits], [audit] and [admin]: sections whose options need hardly more than the table. */
#include "config/sections.h"

#include <stdlib.h>
#include <string.h>

#include "config/path.h"

void *limits_begin(struct loader *loader, const struct section *section)
{
    (void)section;
    return &loader->config->limits;
}

void *audit_begin(struct loader *loader, const struct section *section)
{
    (void)section;
    return &loader->config->audit;
}

/* By now the digest knows the name as it was written: where the files stand is no part of what they mean. */
void audit_finish(struct loader *loader, const struct section *section, void *target)
{
    struct audit_settings *audit = target;
    if (audit->file == NULL || strcmp(audit->file, "-") == 0)
        return;
    char *path = path_beside(section->file, audit->file);
    if (path == NULL) {
        section_fault(loader, section, "file", "out of memory");
        return;
    }
    free(audit->file);
    audit->file = path;
}

/* All its options are later ones, which store nothing. */
void *admin_begin(struct loader *loader, const struct section *section)
{
    (void)section;
    return loader->config;
}
