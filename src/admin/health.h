/* Whether exeat is alive, and whether it is ready, in words. */
#ifndef EXEAT_ADMIN_HEALTH_H
#define EXEAT_ADMIN_HEALTH_H

#include <stdbool.h>

#include "proxy/survey.h"

/* What /healthz and /readyz answer: a sentence, static. `whole` NULL: some worker does not answer. True: 200. */
bool health_is_alive(const struct survey *whole, const char **words);
bool health_is_ready(const struct survey *whole, bool stopping, const char **words);

#endif
