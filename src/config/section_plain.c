/* [limits] and [admin]: sections whose options need no more than the table. */
#include "config/sections.h"

void *limits_begin(struct loader *loader, const struct section *section)
{
    (void)section;
    return &loader->config->limits;
}

/* All its options are later ones, which store nothing. */
void *admin_begin(struct loader *loader, const struct section *section)
{
    (void)section;
    return loader->config;
}
