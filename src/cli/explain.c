/* `exeat explain`: what would happen to a connection, judged by the code that serves, without a packet. */
#include "cli/explain.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/load.h"
#include "config/target.h"

/* clang-format off */
static const char EXPLAIN_USAGE[] =
    "usage: exeat explain [-c FILE] [--from IP] [--sni NAME] [--resolved IP]... [--json] HOST[:PORT]...\n"
    "\n"
    "Says what would happen to a connection: verdict, reason, rule, route and sources, and for a\n"
    "denial the rule that almost matched. Asks no DNS. An IPv6 address goes in brackets; the port\n"
    "is 443 unless given.\n"
    "\n"
    "  -c, --config FILE  the configuration; without it the built-in default\n"
    "      --from IP      the client's address (default: 127.0.0.1)\n"
    "      --sni NAME     the server name of its ClientHello (default: HOST; none for an address)\n"
    "      --resolved IP  what HOST would resolve to; may be repeated\n"
    "      --json         one JSON object a line, in the order asked\n"
    "  -h, --help         this text\n"
    "\n"
    "Exit status: 0 all allowed or observed, 1 some denied, 2 error.\n";
/* clang-format on */

static bool explain_read_ip(struct address *out, const char *option, const char *text)
{
    if (address_read(out, text, strlen(text)))
        return true;
    log_error("--%s: \"%s\" is no IP address", option, text);
    return false;
}

/* An IPv4 client may be written as IPv6 (::ffff:10.0.0.1); the groups know it as the IPv4 client that it is. */
static bool explain_read_from(struct address *out, const char *text)
{
    struct address address;
    if (!explain_read_ip(&address, "from", text))
        return false;
    if (!address_unmap(out, &address))
        *out = address;
    return true;
}

static void explain_deny(struct verdict *verdict, enum reason reason)
{
    verdict->kind = VERDICT_DENY;
    verdict->reason = reason;
}

/* The addresses that the dialler would have: those of --resolved, else what is known without DNS. Returns how many. */
static size_t explain_addresses(const struct inquiry *inquiry, const struct question *question, const struct address **addresses)
{
    if (question->host.kind == HOST_ADDRESS) {
        *addresses = &question->host.address;
        return 1;
    }
    const struct static_host *fixed = config_static_host(inquiry->config, question->host.name);
    if (inquiry->resolved_count == 0 && fixed != NULL) {
        *addresses = fixed->addresses;
        return fixed->address_count;
    }
    *addresses = inquiry->resolved;
    return inquiry->resolved_count;
}

/* What the route makes of the addresses; with none known there is nothing to judge. */
static void explain_judge_addresses(const struct inquiry *inquiry, struct subject *subject)
{
    const struct address *addresses = NULL;
    const struct verdict *verdict = &subject->verdict;
    size_t count = explain_addresses(inquiry, &subject->question, &addresses);
    struct address *kept = malloc((count + 1) * sizeof(*kept));
    enum reason reason = REASON_OVERLOAD;
    if (kept != NULL)
        memcpy(kept, addresses, count * sizeof(*kept));
    if (kept == NULL || (count > 0 && policy_sieve(inquiry->config->policy, verdict->route, subject->question.port, kept, count, &reason) == 0))
        explain_deny(&subject->verdict, reason);
    free(kept);
}

/* The hello of a well-behaved client names the host, and no name for an address; --sni stands for another. */
static void explain_hello(const struct inquiry *inquiry, const struct host *host, struct hello_facts *hello)
{
    *hello = (struct hello_facts){.sni = SNI_NONE};
    const char *name = inquiry->sni;
    if (name == NULL && host->kind == HOST_NAME)
        name = host->name;
    if (name != NULL)
        hello->sni = hostname_read(hello->name, name, strlen(name)) ? SNI_NAME : SNI_BAD;
}

static void explain_judge_hello(const struct inquiry *inquiry, struct subject *subject)
{
    if (verdict_sni_demand(&subject->verdict) == SNI_OFF)
        return;
    struct hello_facts hello;
    explain_hello(inquiry, &subject->question.host, &hello);
    policy_judge_hello(inquiry->config->policy, &subject->question, &hello, &subject->verdict);
}

/* The order of serving: the head, the addresses, the hello. */
static void explain_judge(const struct inquiry *inquiry, struct subject *subject, const char *target)
{
    const struct policy *policy = inquiry->config->policy;
    struct question *question = &subject->question;
    *subject = (struct subject){.asked = target, .question = {.client = inquiry->from, .today = inquiry->today}};
    target_read(target, &question->host, &question->port);
    policy_decide(policy, question, &subject->verdict);
    enum reason reason = subject->verdict.reason;
    if (reason != REASON_RULE_ALLOW && reason != REASON_RULE_OBSERVE)
        subject->nearest = policy_nearest(policy, question, subject->why, sizeof(subject->why));
    if (subject->verdict.kind != VERDICT_DENY)
        explain_judge_addresses(inquiry, subject);
    if (subject->verdict.kind != VERDICT_DENY)
        explain_judge_hello(inquiry, subject);
}

static bool explain_find_groups(struct inquiry *inquiry)
{
    const struct policy *policy = inquiry->config->policy;
    size_t all = policy_group_count(policy);
    inquiry->groups = calloc(all + 1, sizeof(*inquiry->groups));
    for (int prefix = 128; inquiry->groups != NULL && prefix >= 0; prefix--) {
        for (size_t i = 0; i < all; i++) {
            const struct group *group = policy_group_at(policy, i);
            const struct network *network = network_set_find(group->from, &inquiry->from);
            if (network != NULL && network->prefix == prefix)
                inquiry->groups[inquiry->group_count++] = group->name;
        }
    }
    return inquiry->groups != NULL;
}

static int explain_all(const struct inquiry *inquiry, char **targets, size_t count)
{
    int status = COMMAND_OK;
    for (size_t i = 0; i < count; i++) {
        struct subject subject;
        explain_judge(inquiry, &subject, targets[i]);
        if (inquiry->json)
            explain_print_json(inquiry, &subject);
        else
            explain_print_text(inquiry, &subject);
        if (subject.verdict.kind == VERDICT_DENY)
            status = COMMAND_NO;
    }
    return status;
}

/* Returns -1 to go on, or what the command ends with. */
static int explain_options(struct inquiry *inquiry, int argc, char **argv)
{
    enum { OPTION_FROM = 256, OPTION_SNI, OPTION_RESOLVED, OPTION_JSON };
    static const struct option OPTIONS[] = {
        {"config", required_argument, NULL, 'c'},
        {"from", required_argument, NULL, OPTION_FROM},
        {"sni", required_argument, NULL, OPTION_SNI},
        {"resolved", required_argument, NULL, OPTION_RESOLVED},
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "c:h", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'c':
            inquiry->path = optarg;
            break;
        case OPTION_FROM:
            if (!explain_read_from(&inquiry->from, optarg))
                return COMMAND_ERROR;
            break;
        case OPTION_SNI:
            inquiry->sni = optarg;
            break;
        case OPTION_RESOLVED:
            if (!explain_read_ip(&inquiry->resolved[inquiry->resolved_count++], "resolved", optarg))
                return COMMAND_ERROR;
            break;
        case OPTION_JSON:
            inquiry->json = true;
            break;
        case 'h':
            return command_help(EXPLAIN_USAGE);
        default:
            return command_misuse("explain");
        }
    }
    return -1;
}

static int explain_start(struct inquiry *inquiry, int argc, char **argv)
{
    int end = explain_options(inquiry, argc, argv);
    if (end >= 0)
        return end;
    if (optind == argc) {
        log_error("explain what? a HOST is missing");
        return command_misuse("explain");
    }
    struct config *config = load_config(inquiry->path);
    if (config == NULL)
        return COMMAND_ERROR;
    inquiry->config = config;
    int status = explain_find_groups(inquiry) ? explain_all(inquiry, argv + optind, (size_t)(argc - optind)) : command_no_memory();
    free(inquiry->groups);
    config_unref(config);
    return status;
}

int command_explain(int argc, char **argv)
{
    struct inquiry inquiry = {.today = clock_day(clock_wall_us())};
    address_read(&inquiry.from, "127.0.0.1", strlen("127.0.0.1"));
    inquiry.resolved = calloc((size_t)argc, sizeof(*inquiry.resolved)); /* no more than there are words */
    if (inquiry.resolved == NULL)
        return command_no_memory();
    int status = explain_start(&inquiry, argc, argv);
    free(inquiry.resolved);
    return status;
}
