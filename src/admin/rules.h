/* What became of each rule since it was first seen: the evidence for removing one. */
#ifndef EXEAT_ADMIN_RULES_H
#define EXEAT_ADMIN_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config/config.h"
#include "proxy/tally.h"

/* What was counted before this server began; rules are known by their names. */
struct rules;

struct rules *rules_new(void);
/* Safe on NULL. */
void rules_free(struct rules *rules);

/* Those rules of the configuration that were not there before are counted from now on. */
void rules_begin(struct rules *rules, const struct config *config, uint64_t now_us);

/* {"rules":[…]}: every rule of the configuration, in its order, with what `now` has of it and what was before. */
void rules_write_json(FILE *to, const struct rules *rules, const struct tally *now, const struct config *config);

/* The same as a line each, its fields in the same order and separated by tabs. */
void rules_write_lines(FILE *to, const struct rules *rules, const struct tally *now, const struct config *config);

/* All of it as text that rules_read() takes: for the next server, and for the next start. */
void rules_save(FILE *to, const struct rules *rules, const struct tally *now);

/* Adds what a former server saved. False: it is not that, from some line on; what stands before is taken. */
bool rules_read(struct rules *rules, const char *text, size_t len);

/* Has that in place of what was read before. False: it is not that, or memory ran out, and nothing is taken. */
bool rules_replace(struct rules *rules, const char *text, size_t len);

#endif
