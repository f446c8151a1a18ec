/* What is listened on, from one text of a configuration to the next. */
#include "bounds_text.h"

#include <stdio.h>

#include "config_text.h"

size_t bounds_text_go_over(struct bounds *now, const char *text, char *said, size_t size)
{
    struct config *config = config_text_load(text, NULL);
    struct fault_list *faults = fault_list_new();
    struct bounds next = {.workers = now->workers};
    bounds_plan(&next, now, config, faults);
    const size_t count = fault_count(faults);
    if (count > 0)
        snprintf(said, size, "%s", fault_text(faults, count - 1));
    if (count == 0)
        bounds_commit(now, &next);
    else
        bounds_roll_back(now, &next);
    fault_list_free(faults);
    config_unref(config);
    return count;
}
