/* How the experiments say what they saw, and their names. */
#ifndef STUDY_H
#define STUDY_H

#include <stdbool.h>

#include "sockmap.h"

enum { KIB = 1024, MIB = 1024 * 1024 };

/* A line of what was seen. */
void study_say(const char *what, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line of what README.md says is so: where it is not, the program ends with 1. */
void study_hold(const char *what, bool is_so);

/* Ends the program; with errno's words. */
_Noreturn void study_fail(const char *what);

void study_unblock(int fd);

/* Opens the maps, or ends the program. */
void study_open(struct sockmap *map, enum sockmap_mode mode);

/* Joins and kicks, or ends the program. */
void study_join(const struct sockmap *map, int one, int other);

/* How often what is measured is measured, and how much of each load: --rounds, --scale. */
int study_rounds(void);
double study_scale(void);

/* The experiments, a file each. */
void study_counts(void);
void study_half_close(void);
void study_pressure(void);
void study_revoke(void);
void study_hand_over(void);
void study_errors(void);
void study_privilege(void);
void study_cost(void);

#endif
