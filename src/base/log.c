/* The operator's log: one line, from any thread, to that thread's sink. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"

static void log_to_stderr(void *arg, const char *line, size_t len);

static _Thread_local void (*log_sink)(void *arg, const char *line, size_t len) = log_to_stderr;
static _Thread_local void *log_sink_arg;

static void log_to_stderr(void *arg, const char *line, size_t len)
{
    (void)arg;
    while (len > 0) {
        ssize_t done = write(STDERR_FILENO, line, len);
        if (done < 0 && errno != EINTR)
            return;
        if (done > 0) {
            line += done;
            len -= (size_t)done;
        }
    }
}

static void __attribute__((format(printf, 2, 0))) log_line(const char *prefix, const char *format, va_list args)
{
    char body[LOG_LINE_MAX], line[LOG_LINE_MAX];
    struct text text;
    int kept_errno = errno;
    int len = vsnprintf(body, sizeof(body), format, args);
    size_t body_len = len < 0 ? 0 : (size_t)len < sizeof(body) ? (size_t)len : sizeof(body) - 1;
    text_init(&text, line, sizeof(line) - 1); /* one byte is kept for the newline */
    text_add(&text, prefix);
    text_add_clean(&text, body, body_len, body_len);
    line[text.len] = '\n';
    line[text.len + 1] = '\0';
    log_sink(log_sink_arg, line, text.len + 1);
    errno = kept_errno;
}

void log_info(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line("exeat: ", format, args);
    va_end(args);
}

void log_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line("exeat: warning: ", format, args);
    va_end(args);
}

void log_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line("exeat: error: ", format, args);
    va_end(args);
}

void log_set_sink(void (*sink)(void *arg, const char *line, size_t len), void *arg)
{
    log_sink = sink ? sink : log_to_stderr;
    log_sink_arg = arg;
}
