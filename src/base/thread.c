/* Threads beside the one that handles signals, and what they wait for by the monotonic clock. */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

/* A thread inherits its signal mask. */
bool thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    errno = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (errno != 0)
        return false;
    const int error = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return error == 0;
}

void thread_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

bool thread_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t until_ms)
{
    const struct timespec at = {.tv_sec = (time_t)(until_ms / 1000), .tv_nsec = (long)(until_ms % 1000) * 1000000};
    return pthread_cond_timedwait(condition, lock, &at) != ETIMEDOUT;
}
