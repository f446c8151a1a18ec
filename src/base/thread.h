/* Threads beside the one that handles signals, and what they wait for by the monotonic clock. */
#ifndef EXEAT_BASE_THREAD_H
#define EXEAT_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Starts one that no signal interrupts: they are the business of the thread that starts it. False with errno. */
bool thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);

/* A condition for thread_wait_until(). */
void thread_condition_init(pthread_cond_t *condition);

/* Waits, with `lock` held as for pthread_cond_wait(), until monotonic milliseconds. False: it is that late. */
bool thread_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t until_ms);

#endif
