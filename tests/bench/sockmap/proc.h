/* What /proc says of the machine. */
#ifndef STUDY_PROC_H
#define STUDY_PROC_H

#include <stdint.h>

/* The first number behind a word of a file; 0 where it is not. */
uint64_t proc_number(const char *path, const char *word);

/* Seconds of CPU so far: of the whole machine (all that is not idle), and of the kernel's workers, in whose name a sockmap sends. */
double proc_machine_s(void);
double proc_workers_s(void);

#endif
