/* One piece of work beside everything else: on a thread of its own that gives way to all others, and rings when it is done. */
#include "base/background.h"

#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/thread.h"

/* So much nicer than the rest of the process: on a busy machine it must still get done. */
#define BACKGROUND_NICER 10

/* It runs for no longer than this before it is looked whether others wait, which would be 3 ms otherwise (Linux 6.12; before, it is not heeded). */
#define BACKGROUND_SLICE_NS 100000

bool background_init(struct background *background)
{
    *background = (struct background){.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    return background->bell >= 0;
}

/* sched_setattr(2), which glibc 2.36 does not know; the kernel's own header does not go with glibc's. */
struct background_attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

/* Linux: of this thread alone. */
static void background_give_way(void)
{
    const int nice = getpriority(PRIO_PROCESS, 0) + BACKGROUND_NICER;
    const struct background_attributes attributes = {.size = sizeof(attributes), .nice = nice, .runtime_ns = BACKGROUND_SLICE_NS};
    if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0)
        (void)setpriority(PRIO_PROCESS, 0, nice);
}

static void *background_run(void *arg)
{
    struct background *background = arg;
    const uint64_t one = 1;
    background_give_way();
    background->work(background->arg);
    return write(background->bell, &one, sizeof(one)) < 0 ? arg : NULL; /* it cannot fail: nothing else writes there */
}

bool background_start(struct background *background, void (*work)(void *arg), void *arg)
{
    background->work = work;
    background->arg = arg;
    background->running = thread_start(&background->thread, background_run, background);
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

bool background_leave(struct background *background, int patience_ms)
{
    struct pollfd bell = {.fd = background->bell, .events = POLLIN};
    if (background->running && poll(&bell, 1, patience_ms) <= 0) {
        pthread_detach(background->thread);
        return false;
    }
    background_fini(background);
    return true;
}

void background_fini(struct background *background)
{
    background_join(background);
    if (background->bell >= 0)
        close(background->bell);
}
