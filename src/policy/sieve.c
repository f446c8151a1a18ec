/* Of the addresses that a name resolved to, those that its route may dial. */
#include "policy/policy.h"

size_t policy_sieve(const struct policy *policy, const struct route *route, uint16_t port, struct address *addresses, size_t count,
                    enum reason *reason)
{
    size_t kept = 0, speakable = 0;
    for (size_t i = 0; i < count; i++) {
        const struct endpoint to = {.ip = addresses[i], .port = port};
        if (route == NULL || !route_has_family(route, addresses[i].family))
            continue;
        speakable++;
        if (policy_accepts(policy, route, &to))
            addresses[kept++] = addresses[i];
    }
    *reason = speakable == 0 ? REASON_ROUTE_UNAVAILABLE : REASON_ADDRESS_FORBIDDEN;
    return kept;
}
