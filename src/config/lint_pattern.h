/* What is unwise about one host pattern. */
#ifndef EXEAT_CONFIG_LINT_PATTERN_H
#define EXEAT_CONFIG_LINT_PATTERN_H

#include <stdbool.h>

#include "policy/pattern.h"

/* A static sentence that goes on from the pattern, or NULL. */
const char *lint_pattern(const struct pattern *pattern);

/* Whether a name in normal form stands below another: a.b below b, not b below b. */
bool lint_is_below(const char *name, const char *top);

#endif
