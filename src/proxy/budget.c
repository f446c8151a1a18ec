/* A bounded amount of something that all workers take from and give back to. */
#include "proxy/budget.h"

bool budget_take(struct budget *budget, size_t amount)
{
    if (atomic_fetch_add(&budget->taken, amount) + amount <= budget->max)
        return true;
    atomic_fetch_sub(&budget->taken, amount);
    return false;
}

void budget_give(struct budget *budget, size_t amount)
{
    atomic_fetch_sub(&budget->taken, amount);
}
