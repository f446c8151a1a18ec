/* The operator's log: one line, from any thread, to that thread's sink. */
#ifndef EXEAT_BASE_LOG_H
#define EXEAT_BASE_LOG_H

#include <stddef.h>

#define LOG_LINE_MAX 1024

/* Each writes one line `exeat: …`, bounded by LOG_LINE_MAX, every byte outside printable ASCII replaced. Never put a peer's bytes into `format`. */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Where this thread's lines go; `line` ends in a newline and lives until the sink returns. The default writes to standard error, which may block:
 * any thread that serves peers or watches children sets another. NULL brings the default back. */
void log_set_sink(void (*sink)(void *arg, const char *line, size_t len), void *arg);

#endif
