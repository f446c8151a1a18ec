/* When a process that died may be started again: later each time where it never lives long. */
#include "host/child.h"

#include <criterion/criterion.h>
#include <signal.h>

#include "base/clock.h"

static char role[] = "-test";

/* It began so long ago, and was killed now. */
static void expect_pause(struct child *child, uint64_t lived_ms, uint64_t pause_ms)
{
    const uint64_t before_ms = clock_monotonic_ms();
    child->pid = 1;
    child->started_ms = before_ms - lived_ms;
    child_ended(child, SIGKILL);
    cr_expect_eq(child->pid, 0);
    cr_expect(child->again_ms >= before_ms + pause_ms && child->again_ms <= clock_monotonic_ms() + pause_ms, "not %u ms", (unsigned)pause_ms);
}

Test(child, one_that_never_lives_long_waits_longer_each_time)
{
    struct child child = {.role = role, .channel = -1};
    const unsigned pauses_ms[] = {50, 100, 200, 400};
    for (size_t i = 0; i < sizeof(pauses_ms) / sizeof(pauses_ms[0]); i++) {
        expect_pause(&child, 0, pauses_ms[i]);
        cr_expect(!child_is_failing(&child));
    }
    for (int i = 0; i < 3; i++) {
        expect_pause(&child, 0, 800);
        cr_expect(child_is_failing(&child));
    }
}

Test(child, one_that_lived_well_comes_back_at_once_and_is_forgiven)
{
    struct child child = {.role = role, .channel = -1};
    for (int i = 0; i < 6; i++)
        expect_pause(&child, 0, (unsigned[]){50, 100, 200, 400, 800, 800}[i]);
    expect_pause(&child, 1000, 0);
    cr_expect(!child_is_failing(&child));
    expect_pause(&child, 0, 50);
}

Test(child, it_yields_only_by_ending_well)
{
    struct child child = {.role = role, .channel = -1, .yields = true};
    child_ended(&child, 0);
    cr_expect(child.yields);
    child_ended(&child, 1 << 8);
    cr_expect(!child.yields);
    child.yields = true;
    child_ended(&child, SIGKILL);
    cr_expect(!child.yields);
}
