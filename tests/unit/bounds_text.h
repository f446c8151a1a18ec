/* What is listened on, from one text of a configuration to the next. */
#ifndef EXEAT_TESTS_BOUNDS_TEXT_H
#define EXEAT_TESTS_BOUNDS_TEXT_H

#include "host/bounds.h"

/* Plans and commits, or rolls back; how many faults there were, the last of them in `said`, of that size. */
size_t bounds_text_go_over(struct bounds *now, const char *text, char *said, size_t size);

#endif
