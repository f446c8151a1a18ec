/* Says that a disk or a pipe hangs while the journal process itself waits for it and can say nothing. */
#include "audit/journal_watch.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "audit/journal_frame.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"

struct journal_watch {
    struct log_writer *log;
    const char *path;
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t work;
    uint64_t since_ms; /* when what goes on began; 0: nothing does */
    bool said;
    bool idle; /* the thread waits for a beginning; else it looks by itself again */
    bool stopping;
};

static void journal_watch_wait(struct journal_watch *watch)
{
    watch->idle = true;
    pthread_cond_wait(&watch->work, &watch->lock);
    watch->idle = false;
}

/* Under load it looks once in four seconds, whatever has begun and ended meanwhile. */
static void *journal_watch_run(void *arg)
{
    struct journal_watch *watch = arg;
    log_set_sink(log_writer_put, watch->log);
    pthread_mutex_lock(&watch->lock);
    while (!watch->stopping) {
        const uint64_t late_ms = watch->since_ms + JOURNAL_STALL_MS;
        if (watch->since_ms == 0 || watch->said) {
            journal_watch_wait(watch);
        } else if (clock_monotonic_ms() < late_ms) {
            thread_wait_until(&watch->work, &watch->lock, late_ms);
        } else {
            log_error("audit file %s: nothing could be written for %d s", watch->path, JOURNAL_STALL_MS / 1000);
            watch->said = true;
        }
    }
    pthread_mutex_unlock(&watch->lock);
    return NULL;
}

void journal_watch_begin(struct journal_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    watch->since_ms = clock_monotonic_ms();
    if (watch->idle)
        pthread_cond_signal(&watch->work);
    pthread_mutex_unlock(&watch->lock);
}

bool journal_watch_end(struct journal_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    bool said = watch->said;
    watch->since_ms = 0;
    watch->said = false;
    pthread_mutex_unlock(&watch->lock);
    return said;
}

/* ---- beginning and end ---- */

static void journal_watch_free(struct journal_watch *watch)
{
    pthread_cond_destroy(&watch->work);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

struct journal_watch *journal_watch_start(struct log_writer *log, const char *path)
{
    struct journal_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return NULL;
    watch->log = log;
    watch->path = path;
    pthread_mutex_init(&watch->lock, NULL);
    thread_condition_init(&watch->work);
    if (thread_start(&watch->thread, journal_watch_run, watch))
        return watch;
    journal_watch_free(watch);
    return NULL;
}

void journal_watch_stop(struct journal_watch *watch)
{
    if (!watch)
        return;
    pthread_mutex_lock(&watch->lock);
    watch->stopping = true;
    pthread_cond_signal(&watch->work);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->thread, NULL);
    journal_watch_free(watch);
}
