/* One piece of work beside everything else: on a thread of its own that gives way to all others, and rings when it is done. */
#ifndef EXEAT_BASE_BACKGROUND_H
#define EXEAT_BASE_BACKGROUND_H

#include <pthread.h>
#include <stdbool.h>

struct background {
    pthread_t thread;
    int bell; /* readable when the work is done */
    bool running;
    void (*work)(void *arg);
    void *arg;
};

/* No work yet. False with errno. */
bool background_init(struct background *background);

/* Begins, when none is running; the work logs nothing. False with errno. */
bool background_start(struct background *background, void (*work)(void *arg), void *arg);

/* After the bell, or to wait for it: from here on the work's results are the caller's. Harmless when none is running. */
void background_join(struct background *background);

/* Waits for what runs, for so long at most. False: it goes on by itself, and what it uses, this too, must stay for good. */
bool background_leave(struct background *background, int patience_ms);

/* Waits for what runs. Also of one that could not be had. */
void background_fini(struct background *background);

#endif
