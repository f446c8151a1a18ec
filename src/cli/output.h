/* Lines for standard output, many in one write and none in two halves of it. */
#ifndef EXEAT_CLI_OUTPUT_H
#define EXEAT_CLI_OUTPUT_H

#include <stdbool.h>

#include "base/text.h"

#define OUTPUT_SIZE (256 * 1024)

struct output {
    struct text text; /* for the caller to append to: there is room for OUTPUT_LINE_MAX */
    int error;        /* of the write that failed; 0: none */
    char bytes[OUTPUT_SIZE];
};

#define OUTPUT_LINE_MAX (OUTPUT_SIZE / 2)

void output_init(struct output *output);

/* A line is whole. False: it could not be written (so for all here). */
bool output_end_line(struct output *output);

/* Writes what is there. */
bool output_flush(struct output *output);

/* Whether whoever reads a pipe has left. */
bool output_is_closed(void);

#endif
