/* A bar on the terminal for what takes long. */
#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define PROGRESS_LEAST (64 * 1024 * 1024) /* bytes; fewer are read at once */
#define PROGRESS_PAUSE_MS 100
#define PROGRESS_WIDTH 40

void progress_init(struct progress *progress, uint64_t total)
{
    *progress = (struct progress){.total = total >= PROGRESS_LEAST && isatty(STDERR_FILENO) ? total : 0};
}

void progress_set(struct progress *progress, uint64_t done)
{
    static const char full[] = "########################################";
    if (progress->total == 0)
        return;
    const uint64_t now = clock_monotonic_ms();
    if (now < progress->next_ms)
        return;
    if (done > progress->total) /* a file grew */
        done = progress->total;
    const double part = (double)done / (double)progress->total;
    fprintf(stderr, "\r[%-*.*s] %3d %%", PROGRESS_WIDTH, (int)(part * PROGRESS_WIDTH), full, (int)(part * 100));
    fflush(stderr);
    progress->is_drawn = true;
    progress->next_ms = now + PROGRESS_PAUSE_MS;
}

void progress_fini(struct progress *progress)
{
    if (progress->is_drawn)
        fputs("\r\033[K", stderr);
    progress->is_drawn = false;
}
