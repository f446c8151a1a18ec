/* Configurations out of the text of a test: no disk is asked. */
#ifndef EXEAT_TESTS_CONFIG_TEXT_H
#define EXEAT_TESTS_CONFIG_TEXT_H

#include "config/config.h"

/* One file more of the configuration that is loaded next; both live until then. */
void config_text_file(const char *path, const char *text);

/* Loads `text` as the file test.conf. The faults are the caller's, also NULL ones: then a fault fails the test. */
struct config *config_text_load(const char *text, struct fault_list *faults);

/* Fails the test unless the text has exactly these faults, a line each. */
void config_text_faults(const char *text, const char *faults);

/* What fault_print says, malloc'd. */
char *config_text_print(const struct fault_list *faults, bool faults_too, bool warnings_too);

#endif
