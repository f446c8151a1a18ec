/* What is wrong with a configuration: every fault and warning, each with its FILE:LINE. */
#ifndef EXEAT_CONFIG_FAULT_H
#define EXEAT_CONFIG_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct fault_list;

struct fault_list *fault_list_new(void);
void fault_list_free(struct fault_list *faults);

/* `at` is FILE:LINE; section and key may be NULL. Printed as `FILE:LINE: [section] key: what is wrong, what is allowed`. */
void fault_add(struct fault_list *faults, const char *at, const char *section, const char *key, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void fault_warn(struct fault_list *faults, const char *at, const char *section, const char *key, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Says that this file is read now: faults are printed in the order of these calls. */
void fault_list_file(struct fault_list *faults, const char *path);

size_t fault_count(const struct fault_list *faults); /* faults only */
size_t fault_warnings(const struct fault_list *faults);
/* In the order of FILE as read and LINE; `exeat: ` is not put before them. */
void fault_print(const struct fault_list *faults, FILE *to, bool faults_too, bool warnings_too);
/* The same as a text of lines, which is the caller's to free. NULL: out of memory. */
char *fault_lines(const struct fault_list *faults, bool faults_too, bool warnings_too);
/* The same to the log. */
void fault_log(const struct fault_list *faults, bool faults_too, bool warnings_too);
/* Whether such a line, without its end, is about warnings. */
bool fault_line_warns(const char *line, size_t len);
/* The text of fault number `index` (faults only), or NULL. For tests. */
const char *fault_text(const struct fault_list *faults, size_t index);

#endif
