/* What is unwise about one host pattern. */
#include "config/lint_pattern.h"

#include <string.h>

#include "policy/public_suffix.h"

/* Public resolvers over HTTPS: whoever may speak to one has DNS of their own, and with it a way out in small pieces. */
static const char *const RESOLVERS[] = {
    "dns.google",
    "dns64.dns.google",
    "8888.google",
    "cloudflare-dns.com",
    "one.one.one.one",
    "1dot1dot1dot1.cloudflare-dns.com",
    "chrome.cloudflare-dns.com",
    "mozilla.cloudflare-dns.com",
    "security.cloudflare-dns.com",
    "family.cloudflare-dns.com",
    "dns.quad9.net",
    "dns9.quad9.net",
    "dns10.quad9.net",
    "dns11.quad9.net",
    "doh.opendns.com",
    "doh.familyshield.opendns.com",
    "dns.adguard-dns.com",
    "unfiltered.adguard-dns.com",
    "dns.nextdns.io",
    "doh.cleanbrowsing.org",
    "dns.mullvad.net",
    "dns.controld.com",
    "freedns.controld.com",
    "doh.dns.sb",
    "ordns.he.net",
    "dns.alidns.com",
    "doh.pub",
    NULL,
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
static const char *const STORAGE[] = {
    "storage.googleapis.com",
    "firebasestorage.app",
    "blob.core.windows.net",
    "dfs.core.windows.net",
    "file.core.windows.net",
    "web.core.windows.net",
    "r2.cloudflarestorage.com",
    "r2.dev",
    "backblazeb2.com",
    "digitaloceanspaces.com",
    "wasabisys.com",
    "cloudfront.net",
    NULL,
};

/* Storage whose host is the same for every tenant, who stands in the path that a tunnel hides. */
static const char *const SHARED[] = {
    "storage.googleapis.com",
    "storage.cloud.google.com",
    "firebasestorage.googleapis.com",
    NULL,
};

/* Where strangers get names with records, or a whole zone, of their own. */
/* clang-format off */
static const char *const ZONES[] = {
    "duckdns.org",
    "nip.io",
    "sslip.io",
    "eu.org",
    "pp.ua",
    "no-ip.org",
    "noip.com",
    "ddns.net",
    "dyndns.org",
    "dynu.net",
    "afraid.org",
    "mooo.com",
    "cloudns.net",
    "desec.io",
    "dedyn.io",
    "is-a.dev",
    "ngrok.io",
    "ngrok.app",
    "oast.fun",
    "oast.pro",
    "oast.live",
    "oast.site",
    "oast.online",
    "oast.me",
    "interact.sh",
    "dnslog.cn",
    "ceye.io",
    "burpcollaborator.net",
    "oastify.com",
    NULL,
};
/* clang-format on */

bool lint_is_below(const char *name, const char *top)
{
    size_t name_len = strlen(name), top_len = strlen(top);
    return name_len > top_len && name[name_len - top_len - 1] == '.' && strcmp(name + name_len - top_len, top) == 0;
}

static bool lint_covers(const struct pattern *pattern, const char *name)
{
    if (pattern->kind == PATTERN_EXACT)
        return strcmp(pattern->name, name) == 0;
    return pattern->kind == PATTERN_BELOW && lint_is_below(name, pattern->name);
}

static bool lint_covers_any(const struct pattern *pattern, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (lint_covers(pattern, *names))
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
static bool lint_is_wide(const struct pattern *pattern, const char *const *tops)
{
    for (; pattern->kind == PATTERN_BELOW && *tops != NULL; tops++) {
        if (strcmp(pattern->name, *tops) == 0 || lint_is_below(*tops, pattern->name))
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
