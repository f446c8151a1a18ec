/* Every option there is, one row each: the parser and `check --options` go by it, the manual and the sample are tested against it. */
#ifndef EXEAT_CONFIG_OPTIONS_H
#define EXEAT_CONFIG_OPTIONS_H

#include "config/option.h"

/* Every row, a section's together. */
const struct option_row *options_all(size_t *count);
const struct option_row *options_find(const char *section, const char *key);

#endif
