/* Names below which strangers register (libpsl). */
#include "policy/public_suffix.h"

#include <libpsl.h>

bool public_suffix_is(const char *name)
{
    /* Without a built-in list libpsl answers yes to everything, which is the careful answer. */
    return psl_is_public_suffix2(psl_builtin(), name, PSL_TYPE_ANY | PSL_TYPE_NO_STAR_RULE) != 0;
}

const char *public_suffix_registrable(const char *name)
{
    return psl_registrable_domain(psl_builtin(), name);
}
