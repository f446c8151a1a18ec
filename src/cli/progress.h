/* A bar on the terminal for what takes long. */
#ifndef EXEAT_CLI_PROGRESS_H
#define EXEAT_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    uint64_t total; /* bytes to read; 0: nothing is shown */
    uint64_t next_ms;
    bool is_drawn;
};

/* Shows nothing where standard error is no terminal, or `total` is little. */
void progress_init(struct progress *progress, uint64_t total);

/* So many bytes are read: draws the bar, at most some times a second. */
void progress_set(struct progress *progress, uint64_t done);

/* Takes the bar away. */
void progress_fini(struct progress *progress);

#endif
