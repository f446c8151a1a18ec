/* Whether exeat is alive, and whether it is ready, in words. */
#ifndef EXEAT_ADMIN_HEALTH_H
#define EXEAT_ADMIN_HEALTH_H

#include <stdbool.h>

#include "proxy/server.h"
#include "proxy/survey.h"

/* What /healthz and /readyz answer: a sentence, static. `whole` NULL: some worker does not answer. True: 200. */
bool health_is_alive(const struct survey *whole, const char **words);
bool health_is_ready(const struct survey *whole, enum server_stage stage, const char **words);

#endif
