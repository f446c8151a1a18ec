/* Every host pattern of a configuration in one hash table: which lists cover this name? */
#ifndef EXEAT_POLICY_HOST_TABLE_H
#define EXEAT_POLICY_HOST_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/pattern.h"

struct host_table;

struct host_table *host_table_new(void);
void host_table_free(struct host_table *table);

/* Says that list number `list` holds the pattern (EXACT or BELOW; networks are kept elsewhere). The same pattern may be in many lists; twice in
 * one is once. False when out of memory. Not after sealing. */
bool host_table_add(struct host_table *table, const struct pattern *pattern, uint32_t list);

/* Makes what was added findable; nothing is added any more. A pattern then takes its name and about 12 bytes. False: out of memory, and it is of no
 * use. */
bool host_table_seal(struct host_table *table);

/* Calls `found(arg, list)` for each list that covers the name (normal form), each list once for each of its matching patterns, the most specific
 * pattern first; stops early when `found` returns false. The table is sealed. Costs one look-up for the name and one for each label, however many
 * patterns there are. Only reads: any thread, at once. */
void host_table_find(const struct host_table *table, const char *name, bool (*found)(void *arg, uint32_t list), void *arg);

/* Calls `found` for each pattern (`kind` EXACT or BELOW; `name` without a NUL) and each list that holds it, in the order in which the patterns came;
 * stops when it returns false. The table is sealed. Goes through the whole of it: for people who ask, not for deciding. */
void host_table_each(const struct host_table *table, bool (*found)(void *arg, enum pattern_kind kind, const char *name, size_t len, uint32_t list),
                     void *arg);

/* How many different patterns it holds. For tests. */
size_t host_table_count(const struct host_table *table);

#endif
