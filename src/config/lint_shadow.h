/* Whether an earlier rule leaves a later one nothing to decide. */
#ifndef EXEAT_CONFIG_LINT_SHADOW_H
#define EXEAT_CONFIG_LINT_SHADOW_H

#include <stdbool.h>

#include "config/lint_notes.h"

/* True when every question that `later` matches is matched by `earlier`, as far as is known of their lists. Takes off *steps what it cost, and gives
 * up with false when none are left. */
bool lint_shadow(const struct lint_notes *notes, const struct rule *earlier, const struct rule *later, size_t *steps);

#endif
