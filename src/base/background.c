/* One piece of work beside everything else: on a thread of its own that gives way to all others, and rings when it is done. */
#include "base/background.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

/* So much nicer than the rest of the process: on a busy machine it must still get done. */
#define BACKGROUND_NICER 10

bool background_init(struct background *background)
{
    *background = (struct background){.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    return background->bell >= 0;
}

static void *background_run(void *arg)
{
    struct background *background = arg;
    const uint64_t one = 1;
    (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + BACKGROUND_NICER); /* Linux: of this thread alone */
    background->work(background->arg);
    return write(background->bell, &one, sizeof(one)) < 0 ? arg : NULL; /* it cannot fail: nothing else writes there */
}

/* No signal is its business: they are the thread's that starts it. */
static int background_create(struct background *background)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&background->thread, NULL, background_run, background);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

bool background_start(struct background *background, void (*work)(void *arg), void *arg)
{
    background->work = work;
    background->arg = arg;
    errno = background_create(background);
    background->running = errno == 0;
    return background->running;
}

void background_join(struct background *background)
{
    uint64_t rings;
    if (!background->running)
        return;
    pthread_join(background->thread, NULL);
    background->running = false;
    (void)!read(background->bell, &rings, sizeof(rings));
}

void background_fini(struct background *background)
{
    background_join(background);
    if (background->bell >= 0)
        close(background->bell);
}
