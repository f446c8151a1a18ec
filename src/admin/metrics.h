/* What /metrics says: the counts in Prometheus' text format (0.0.4). */
#ifndef EXEAT_ADMIN_METRICS_H
#define EXEAT_ADMIN_METRICS_H

#include <stdio.h>

#include "config/config.h"
#include "proxy/quotas.h"
#include "proxy/server.h"
#include "proxy/survey.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Of a survey with counts, to which it adds zeros for what is configured and was not there yet: counters begin at nought. No name of a host is in it,
 * and no label whose values a client could make up. */
void metrics_write(FILE *to, struct survey *whole, const struct config *config, const struct server_reloads *reloads, struct quotas *quotas,
                   uint64_t now_ms);

/* A label's value: a backslash, a quote and a newline are escaped. */
void metrics_put_label(FILE *to, const char *value);

#endif
