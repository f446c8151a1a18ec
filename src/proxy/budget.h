/* A bounded amount of something that all workers take from and give back to. */
#ifndef EXEAT_PROXY_BUDGET_H
#define EXEAT_PROXY_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct budget {
    atomic_size_t max; /* may change: what is past it then comes back in time */
    atomic_size_t taken;
};

/* False: so much is not left, and nothing was taken. From any thread. */
bool budget_take(struct budget *budget, size_t amount);
void budget_give(struct budget *budget, size_t amount);

#endif
