/* A thread that writes log lines to a descriptor that may block, so that nobody else has to wait for it. */
#ifndef EXEAT_BASE_LOG_WRITER_H
#define EXEAT_BASE_LOG_WRITER_H

#include <stddef.h>

struct log_writer;

/* Starts the thread (all signals blocked in it). The ring holds 64 KiB. NULL when it cannot be had. */
struct log_writer *log_writer_start(int fd);

/* Takes one whole line, from any thread, and never waits. A line that finds the ring full is dropped and counted; the count is written as a
 * line of its own as soon as there is room. */
void log_writer_put(void *writer, const char *line, size_t len);

/* Waits at most `wait_ms` for the ring to empty, then ends: a reader that is stuck must not keep a process from ending, so the thread may be left
 * behind. Nobody may put a line any more. */
void log_writer_stop(struct log_writer *writer, unsigned wait_ms);

#endif
