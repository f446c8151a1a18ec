/* The descriptors shared out: the tunnels that are promised always fit, whatever else is open. */
#include "proxy/descriptors.h"

#include <criterion/criterion.h>
#include <stdint.h>

/* What the workers and the process have of their own, as exeat.conf(5) says it. */
static size_t kept_back(const struct descriptor_needs *needs)
{
    return 32 + needs->workers * (16 + needs->listeners);
}

/* With every tunnel open and all that comes and goes taken, too. */
static size_t taken_at_most(const struct descriptor_plan *plan)
{
    return 2 * plan->tunnels_max + 2 * plan->pipes_max + plan->lingers_max + plan->tries_max;
}

Test(descriptors, nine_and_a_half_thousand_tunnels_fit_into_twenty_thousand)
{
    const struct descriptor_plan two = descriptor_plan_make(&(struct descriptor_needs){.limit = 20000, .workers = 2, .listeners = 1});
    cr_expect_eq(two.tunnels_max, 9656, "%zu", two.tunnels_max);
    const struct descriptor_plan usual = descriptor_plan_make(&(struct descriptor_needs){.limit = 1024, .workers = 2, .listeners = 1});
    cr_expect_eq(usual.tunnels_max, 464, "%zu", usual.tunnels_max); /* both are in exeat.conf(5) */
    const struct descriptor_plan most = descriptor_plan_make(&(struct descriptor_needs){.limit = 20000, .workers = 8, .listeners = 4});
    cr_expect_geq(most.tunnels_max, 9500, "%zu", most.tunnels_max);
}

Test(descriptors, the_sum_never_passes_the_limit)
{
    for (size_t limit = 64; limit < 3000000; limit += 1 + limit / 7)
        for (size_t workers = 1; workers <= 64; workers *= 2)
            for (size_t wanted = 0; wanted < 2000; wanted = 3 * wanted + 1) {
                const struct descriptor_needs needs = {.limit = limit, .workers = workers, .listeners = 3, .tunnels_wanted = wanted};
                const struct descriptor_plan plan = descriptor_plan_make(&needs);
                if (limit >= kept_back(&needs) + 6)
                    cr_assert_leq(kept_back(&needs) + taken_at_most(&plan), limit, "limit %zu, %zu workers, %zu wanted", limit, workers, wanted);
                cr_assert(plan.tunnels_max && plan.pipes_max && plan.lingers_max && plan.tries_max, "limit %zu, %zu workers", limit, workers);
                cr_assert(wanted == 0 || plan.tunnels_max <= wanted);
            }
}

Test(descriptors, what_tunnels_do_not_want_others_may_have)
{
    struct descriptor_needs needs = {.limit = 20000, .workers = 2, .listeners = 1};
    const struct descriptor_plan all = descriptor_plan_make(&needs);
    needs.tunnels_wanted = 100;
    const struct descriptor_plan few = descriptor_plan_make(&needs);
    cr_expect_eq(few.tunnels_max, 100);
    cr_expect_gt(few.pipes_max, 10 * all.pipes_max);
    cr_expect_gt(few.lingers_max, 10 * all.lingers_max);
    cr_expect_gt(few.tries_max, 10 * all.tries_max);
}

Test(descriptors, too_few_are_still_a_tunnel)
{
    const struct descriptor_plan none = descriptor_plan_make(&(struct descriptor_needs){.limit = 10, .workers = 4, .listeners = 1});
    cr_expect_eq(none.tunnels_max, 1);
    const struct descriptor_plan endless = descriptor_plan_make(&(struct descriptor_needs){.limit = SIZE_MAX, .workers = 4, .listeners = 1});
    cr_expect_gt(endless.tunnels_max, SIZE_MAX / 4);
}
