/* Whether a policy that came later still lets a connection go the way that it goes. No network, no clock. */
#ifndef EXEAT_POLICY_REVIEW_H
#define EXEAT_POLICY_REVIEW_H

#include "policy/policy.h"

/* What is known of a connection that was allowed once. */
struct review_facts {
    struct address client;
    const char *host; /* the normal form of what it was judged by; with `transparent` looked at nowhere */
    size_t host_len;
    uint16_t port;
    bool transparent;        /* the network brought it */
    struct address original; /* … and where to; else not set */
    bool has_hello;          /* a ClientHello was read */
    struct hello_facts hello;
    const struct route *route; /* by which it goes; of whichever policy */
    struct address egress;     /* from which */
    struct endpoint upstream;  /* and to whom */
};

enum review_result {
    REVIEW_DENIED = 0, /* the verdict says why */
    REVIEW_UNREAD,     /* a ClientHello is demanded now, and none was read */
    REVIEW_REROUTED,   /* by another route, or one that leads another way */
    REVIEW_EGRESS,     /* from an address that is no source of the route any more */
    REVIEW_UPSTREAM,   /* to an address that the route does not accept any more */
    REVIEW_STAYS,
};

/* Judges by the whole policy, on that day; *verdict is always written, and points into it. What is let out to be observed stays, too. */
enum review_result policy_review(const struct policy *policy, const struct review_facts *facts, uint32_t today, struct verdict *verdict);

#endif
