/* What was counted of one rule, as fields of a line: in the file that keeps it, and from one generation of the server to another. */
#ifndef EXEAT_ADMIN_RULE_TEXT_H
#define EXEAT_ADMIN_RULE_TEXT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/field.h"
#include "proxy/tally.h"

#define RULE_TEXT_FIELDS 5 /* hits, last hit, bytes up and down, clients */

/* Its name is the caller's to write. */
void rule_text_write(FILE *to, const struct tally_rule *rule, char separator);

/* All but its name. False: it is not what rule_text_write() makes, and the rule is as it was. */
bool rule_text_read(struct tally_rule *rule, const struct field fields[RULE_TEXT_FIELDS]);

#endif
