/* The question of a connection that the network brought: the ClientHello comes first, and its server name is the host. */
#include "policy/policy.h"

#include <string.h>

static void transparent_read_host(struct host *host, const struct hello_facts *hello, const struct address *original)
{
    memset(host, 0, sizeof(*host));
    if (hello != NULL && hello->sni == SNI_NAME) {
        host->kind = HOST_NAME;
        memcpy(host->name, hello->name, sizeof(host->name));
    } else if ((hello == NULL || hello->sni == SNI_NONE) && address_is_set(original)) {
        char text[ADDRESS_TEXT_MAX];
        host->kind = HOST_ADDRESS;
        host->address = *original;
        address_text(original, text);
        memcpy(host->name, text, sizeof(text));
    }
}

static void transparent_deny(struct verdict *verdict, enum reason reason)
{
    verdict->kind = VERDICT_DENY;
    verdict->reason = reason;
}

/* Only a rule over the original address that demands no TLS lets out what is none. */
static void transparent_judge_plain(struct verdict *verdict)
{
    if (verdict->reason == REASON_ADDRESS_LITERAL || (verdict->kind != VERDICT_DENY && verdict_sni_demand(verdict) != SNI_OFF))
        transparent_deny(verdict, REASON_NOT_TLS);
}

void policy_decide_transparent(const struct policy *policy, struct question *question, const struct hello_facts *hello,
                               const struct address *original, struct verdict *verdict)
{
    transparent_read_host(&question->host, hello, original);
    policy_decide(policy, question, verdict);
    if (verdict->group == NULL)
        verdict->group = policy_group_of(policy, &question->client);
    if (verdict->group == NULL)
        transparent_deny(verdict, REASON_CLIENT_UNKNOWN);
    else if (hello == NULL)
        transparent_judge_plain(verdict);
    else if (hello->sni == SNI_BAD)
        transparent_deny(verdict, REASON_SNI_INVALID);
    else if (question->host.kind != HOST_NAME && verdict->rule == NULL)
        transparent_deny(verdict, REASON_SNI_MISSING); /* the address was the network's choice: what the client lacks is a name */
    else
        policy_judge_hello(policy, question, hello, verdict);
}
