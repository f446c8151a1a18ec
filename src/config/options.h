/* Every option there is: one row each, from which the parser, `--help`, the manual and the check of the sample are made. */
#ifndef EXEAT_CONFIG_OPTIONS_H
#define EXEAT_CONFIG_OPTIONS_H

#include "config/option.h"

/* Every row, a section's together. */
const struct option_row *options_all(size_t *count);
const struct option_row *options_find(const char *section, const char *key);

#endif
