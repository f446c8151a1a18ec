/* The floor by sockmap, each in place of floor_run. */
#ifndef STUDY_RELAY_H
#define STUDY_RELAY_H

#include "../roles.h"

_Noreturn void relay_run(const struct options *options);
_Noreturn void relay_run_parser(const struct options *options);

#endif
