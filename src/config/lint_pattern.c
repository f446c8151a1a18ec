/* What is unwise about one host pattern. */
#include "config/lint_pattern.h"

#include <string.h>

#include "policy/public_suffix.h"

/* A host with its length: of a list of a million patterns each is held against them all. */
struct lint_name {
    const char *text;
    size_t len;
};

/* clang-format off */
#define LINT_NAME(text) {text, sizeof(text) - 1}
/* clang-format on */

/* Public resolvers over HTTPS: whoever may speak to one has DNS of their own, and with it a way out in small pieces. */
static const struct lint_name RESOLVERS[] = {
    LINT_NAME("dns.google"),
    LINT_NAME("dns64.dns.google"),
    LINT_NAME("8888.google"),
    LINT_NAME("cloudflare-dns.com"),
    LINT_NAME("one.one.one.one"),
    LINT_NAME("1dot1dot1dot1.cloudflare-dns.com"),
    LINT_NAME("chrome.cloudflare-dns.com"),
    LINT_NAME("mozilla.cloudflare-dns.com"),
    LINT_NAME("security.cloudflare-dns.com"),
    LINT_NAME("family.cloudflare-dns.com"),
    LINT_NAME("dns.quad9.net"),
    LINT_NAME("dns9.quad9.net"),
    LINT_NAME("dns10.quad9.net"),
    LINT_NAME("dns11.quad9.net"),
    LINT_NAME("doh.opendns.com"),
    LINT_NAME("doh.familyshield.opendns.com"),
    LINT_NAME("dns.adguard-dns.com"),
    LINT_NAME("unfiltered.adguard-dns.com"),
    LINT_NAME("dns.nextdns.io"),
    LINT_NAME("doh.cleanbrowsing.org"),
    LINT_NAME("dns.mullvad.net"),
    LINT_NAME("dns.controld.com"),
    LINT_NAME("freedns.controld.com"),
    LINT_NAME("doh.dns.sb"),
    LINT_NAME("ordns.he.net"),
    LINT_NAME("dns.alidns.com"),
    LINT_NAME("doh.pub"),
    {NULL, 0},
};

/* The same by address: of Cloudflare, Google and Quad9, whose certificates hold them. */
static const struct address RESOLVER_ADDRESSES[] = {
    {FAMILY_V4, {1, 1, 1, 1}},
    {FAMILY_V4, {1, 0, 0, 1}},
    {FAMILY_V4, {8, 8, 8, 8}},
    {FAMILY_V4, {8, 8, 4, 4}},
    {FAMILY_V4, {9, 9, 9, 9}},
    {FAMILY_V4, {149, 112, 112, 112}},
    {FAMILY_V6, {0x26, 0x06, 0x47, 0x00, 0x47, 0x00, [14] = 0x11, [15] = 0x11}}, /* 2606:4700:4700::1111 */
    {FAMILY_V6, {0x26, 0x06, 0x47, 0x00, 0x47, 0x00, [14] = 0x10, [15] = 0x01}}, /* 2606:4700:4700::1001 */
    {FAMILY_V6, {0x20, 0x01, 0x48, 0x60, 0x48, 0x60, [14] = 0x88, [15] = 0x88}}, /* 2001:4860:4860::8888 */
    {FAMILY_V6, {0x20, 0x01, 0x48, 0x60, 0x48, 0x60, [14] = 0x88, [15] = 0x44}}, /* 2001:4860:4860::8844 */
    {FAMILY_V6, {0x26, 0x20, 0x00, 0xfe, [15] = 0xfe}},                          /* 2620:fe::fe */
    {FAMILY_V6, {0x26, 0x20, 0x00, 0xfe, [15] = 0x09}},                          /* 2620:fe::9 */
};

/* Storage in which any tenant has a name of their own. S3 has too many forms for a table. */
static const struct lint_name STORAGE[] = {
    LINT_NAME("storage.googleapis.com"),
    LINT_NAME("firebasestorage.app"),
    LINT_NAME("blob.core.windows.net"),
    LINT_NAME("dfs.core.windows.net"),
    LINT_NAME("file.core.windows.net"),
    LINT_NAME("web.core.windows.net"),
    LINT_NAME("r2.cloudflarestorage.com"),
    LINT_NAME("r2.dev"),
    LINT_NAME("backblazeb2.com"),
    LINT_NAME("digitaloceanspaces.com"),
    LINT_NAME("wasabisys.com"),
    LINT_NAME("cloudfront.net"),
    {NULL, 0},
};

/* Storage whose host is the same for every tenant, who stands in the path that a tunnel hides. */
static const struct lint_name SHARED[] = {
    LINT_NAME("storage.googleapis.com"),
    LINT_NAME("storage.cloud.google.com"),
    LINT_NAME("firebasestorage.googleapis.com"),
    {NULL, 0},
};

/* Where strangers get names with records, or a whole zone, of their own. */
/* clang-format off */
static const struct lint_name ZONES[] = {
    LINT_NAME("duckdns.org"),
    LINT_NAME("nip.io"),
    LINT_NAME("sslip.io"),
    LINT_NAME("eu.org"),
    LINT_NAME("pp.ua"),
    LINT_NAME("no-ip.org"),
    LINT_NAME("noip.com"),
    LINT_NAME("ddns.net"),
    LINT_NAME("dyndns.org"),
    LINT_NAME("dynu.net"),
    LINT_NAME("afraid.org"),
    LINT_NAME("mooo.com"),
    LINT_NAME("cloudns.net"),
    LINT_NAME("desec.io"),
    LINT_NAME("dedyn.io"),
    LINT_NAME("is-a.dev"),
    LINT_NAME("ngrok.io"),
    LINT_NAME("ngrok.app"),
    LINT_NAME("oast.fun"),
    LINT_NAME("oast.pro"),
    LINT_NAME("oast.live"),
    LINT_NAME("oast.site"),
    LINT_NAME("oast.online"),
    LINT_NAME("oast.me"),
    LINT_NAME("interact.sh"),
    LINT_NAME("dnslog.cn"),
    LINT_NAME("ceye.io"),
    LINT_NAME("burpcollaborator.net"),
    LINT_NAME("oastify.com"),
    {NULL, 0},
};
/* clang-format on */

static bool lint_name_is_below(const struct lint_name *name, const struct lint_name *top)
{
    return name->len > top->len && name->text[name->len - top->len - 1] == '.' && memcmp(name->text + name->len - top->len, top->text, top->len) == 0;
}

bool lint_is_below(const char *name, const char *top)
{
    const struct lint_name below = {name, strlen(name)}, above = {top, strlen(top)};
    return lint_name_is_below(&below, &above);
}

static bool lint_name_equal(const struct lint_name *a, const struct lint_name *b)
{
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

static bool lint_covers_any(const struct pattern *pattern, const struct lint_name *names)
{
    const struct lint_name own = {pattern->name, strlen(pattern->name)};
    for (; names->text != NULL; names++) {
        if (pattern->kind == PATTERN_EXACT ? lint_name_equal(&own, names) : lint_name_is_below(names, &own))
            return true;
    }
    return false;
}

static bool lint_is_resolver(const struct pattern *pattern)
{
    if (pattern->kind != PATTERN_NETWORK)
        return lint_covers_any(pattern, RESOLVERS);
    for (size_t i = 0; i < sizeof(RESOLVER_ADDRESSES) / sizeof(RESOLVER_ADDRESSES[0]); i++) {
        if (network_has(&pattern->network, &RESOLVER_ADDRESSES[i]))
            return true;
    }
    return false;
}

/* A wildcard exactly there, or further up. */
static bool lint_is_wide(const struct pattern *pattern, const struct lint_name *tops)
{
    const struct lint_name own = {pattern->name, strlen(pattern->name)};
    for (; pattern->kind == PATTERN_BELOW && tops->text != NULL; tops++) {
        if (lint_name_equal(&own, tops) || lint_name_is_below(tops, &own))
            return true;
    }
    return false;
}

/* An endpoint of S3 itself, as against a bucket below it: s3, s3-REGION, s3.REGION, s3.dualstack.REGION, s3-accelerate … .amazonaws.com */
static bool lint_is_s3(const char *name)
{
    bool aws = lint_is_below(name, "amazonaws.com") || lint_is_below(name, "amazonaws.com.cn");
    return aws && strncmp(name, "s3", 2) == 0 && (name[2] == '.' || name[2] == '-') && strstr(name, ".s3.") == NULL && strstr(name, ".s3-") == NULL;
}

/* REGION.amazonaws.com, such as eu-west-1 or us-gov-west-1: a dash and a digit at the label's end, as no service has them. */
static bool lint_is_aws_region(const char *name)
{
    size_t len = strcspn(name, ".");
    bool aws = strcmp(name + len, ".amazonaws.com") == 0 || strcmp(name + len, ".amazonaws.com.cn") == 0;
    return aws && len >= 2 && name[len - 2] == '-' && name[len - 1] >= '0' && name[len - 1] <= '9';
}

/* What S3's endpoints stand below, those of a region with all their buckets in the path. */
static bool lint_is_above_s3(const char *name)
{
    static const char DUALSTACK[] = "dualstack.";
    if (strncmp(name, DUALSTACK, strlen(DUALSTACK)) == 0)
        name += strlen(DUALSTACK);
    return strcmp(name, "amazonaws.com") == 0 || strcmp(name, "amazonaws.com.cn") == 0 || lint_is_aws_region(name);
}

static bool lint_is_storage(const struct pattern *pattern)
{
    if (pattern->kind == PATTERN_BELOW && (lint_is_s3(pattern->name) || lint_is_above_s3(pattern->name)))
        return true;
    return lint_is_wide(pattern, STORAGE);
}

static bool lint_is_shared_storage(const struct pattern *pattern)
{
    return pattern->kind == PATTERN_EXACT && (lint_is_s3(pattern->name) || lint_covers_any(pattern, SHARED));
}

const char *lint_pattern(const struct pattern *pattern)
{
    if (lint_is_resolver(pattern))
        return "covers a public DNS-over-HTTPS resolver, through which names and data leave unseen";
    if (lint_is_storage(pattern))
        return "covers storage that any tenant can write to; prefer the bucket's own host, such as my-bucket.s3.amazonaws.com";
    if (lint_is_shared_storage(pattern))
        return "is the host of every tenant's storage, whose buckets stand in the path; prefer the bucket's own host, such as "
               "my-bucket.s3.amazonaws.com";
    if (lint_is_wide(pattern, ZONES))
        return "covers names below which others run DNS: a question for one of them already carries data out";
    if (pattern->kind == PATTERN_BELOW && public_suffix_is(pattern->name))
        return "is a wildcard over a public suffix: below it anyone can have a name";
    return NULL;
}
