/* Watches the files of a configuration: whether they became others than those that were read. */
#ifndef EXEAT_HOST_WATCH_H
#define EXEAT_HOST_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "config/bundle.h"

struct watch;

/* NULL with errno. */
struct watch *watch_new(void);
void watch_free(struct watch *watch);

/* These were read last; the bundle must live until the next call. They are looked at once from here on, whether anything is heard of them or not. */
void watch_set(struct watch *watch, const struct bundle *bundle, uint64_t now_ms);

/* To be polled for reading; -1: not now. What it says is not looked at before watch_at_ms(). */
int watch_fd(const struct watch *watch);
void watch_heard(struct watch *watch, uint64_t now_ms);

/* When to look, in monotonic ms; UINT64_MAX: when something was heard. */
uint64_t watch_at_ms(const struct watch *watch);
/* Looks. True, once for each watch_set(): some file became another, and all have been at rest for a moment. */
bool watch_is_due(struct watch *watch, uint64_t now_ms);

#endif
