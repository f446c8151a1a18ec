/* [limits]: a section whose options need no more than the table. */
#include "config/sections.h"

void *limits_begin(struct loader *loader, const struct section *section)
{
    (void)section;
    return &loader->config->limits;
}
