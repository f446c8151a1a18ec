/* One pattern of a rule or a host list: what an operator wrote becomes a name, everything below a name, or a network (U-labels by libidn2). */
#include "policy/pattern.h"

#include <idn2.h>
#include <string.h>

#include "policy/public_suffix.h"

/* More than any name's U-labels need; keeps libidn2 from working on what cannot fit. */
#define PATTERN_TEXT_MAX 1024

static bool pattern_has(const char *text, size_t len, char c)
{
    return memchr(text, c, len) != NULL;
}

static bool pattern_has_control(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c == 0x7f)
            return true;
    }
    return false;
}

static bool pattern_is_ascii(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] >= 0x80)
            return false;
    }
    return true;
}

/* What can be said of any text before it is read as something: NULL, or what is wrong. */
static const char *pattern_check_text(const char *text, size_t len)
{
    if (len == 0)
        return "empty; a name, *.name, an address or a CIDR is taken";
    if (len > PATTERN_TEXT_MAX)
        return "too long; a name has at most 253 characters";
    if (pattern_has_control(text, len))
        return "a blank or a control character; patterns are separated by blanks and hold none";
    return NULL;
}

/* Whether an address stands before the slash, if there is one: then it is to be a network, and its faults are a network's. */
static bool pattern_is_network(const char *text, size_t len)
{
    const char *slash = memchr(text, '/', len);
    struct address address;
    return address_read(&address, text, slash ? (size_t)(slash - text) : len);
}

/* What people paste instead of a host, each with its own hint. */
static const char *pattern_check_host(const char *text, size_t len)
{
    if (memmem(text, len, "://", 3) != NULL)
        return "a scheme; only the host is compared";
    if (pattern_has(text, len, '/'))
        return "a path, or no CIDR; only the host is compared";
    if (pattern_has(text, len, '[') || pattern_has(text, len, ']'))
        return "brackets; an IPv6 address is written without them";
    if (pattern_has(text, len, ':'))
        return memchr(text, ':', len) == memrchr(text, ':', len) ? "a port; it belongs into the rule's `port`" : "not an IPv6 address";
    if (pattern_has(text, len, '@'))
        return "a user name; only the host is compared";
    return NULL;
}

/* U-labels to A-labels. Into `out` (NUL-terminated), or what is wrong. */
static const char *pattern_to_ascii(char out[PATTERN_TEXT_MAX + 1], const char *text, size_t len)
{
    memcpy(out, text, len);
    out[len] = '\0';
    if (pattern_is_ascii(text, len))
        return NULL;
    uint8_t *ascii = NULL;
    int result = idn2_lookup_u8((const uint8_t *)out, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    bool fits = result == IDN2_OK && strlen((const char *)ascii) <= PATTERN_TEXT_MAX;
    if (fits)
        memcpy(out, ascii, strlen((const char *)ascii) + 1);
    idn2_free(ascii);
    return fits ? NULL : "not a valid international name (UTF-8, IDNA 2008)";
}

/* An `xn--` label that cannot be decoded is a slip of the pen: no registry and no client makes it. */
static bool pattern_has_bad_alabel(const char *name)
{
    char *decoded = NULL;
    int result = strstr(name, "xn--") ? idn2_to_unicode_8z8z(name, &decoded, 0) : IDN2_OK;
    idn2_free(decoded);
    return result != IDN2_OK;
}

static const char *pattern_read_name(struct pattern *out, const char *text, size_t len)
{
    char ascii[PATTERN_TEXT_MAX + 1];
    const char *fault = pattern_to_ascii(ascii, text, len);
    if (fault == NULL && !hostname_read(out->name, ascii, strlen(ascii)))
        fault = "not a name: labels of 1 to 63 letters, digits, - and _, at most 253 in all, the last not a number";
    return fault;
}

/* What can be wrong with a name as a pattern; NULL: nothing. */
static const char *pattern_accept(struct pattern *out, bool below)
{
    if (pattern_has_bad_alabel(out->name))
        return "an xn-- label that is no Punycode";
    if (below && strchr(out->name, '.') == NULL && public_suffix_is(out->name))
        return "a wildcard over a whole top-level domain; *.name needs at least two labels there";
    out->kind = below ? PATTERN_BELOW : PATTERN_EXACT;
    return NULL;
}

static bool pattern_starts_below(const char *text, size_t len)
{
    return len >= 2 && memcmp(text, "*.", 2) == 0;
}

static const char *pattern_read_host(struct pattern *out, const char *text, size_t len)
{
    const char *fault = pattern_check_host(text, len);
    if (fault != NULL)
        return fault;
    if (len == 1 && *text == '*')
        return "every host of the internet; name the hosts, or *.name for all below a name";
    bool below = pattern_starts_below(text, len);
    text += below ? 2 : 0;
    len -= below ? 2 : 0;
    if (pattern_has(text, len, '*'))
        return "a * may only stand for whole labels in front: *.name";
    fault = pattern_read_name(out, text, len);
    return fault ? fault : pattern_accept(out, below);
}

/* What is not in its normal form, or nearly: U-labels, networks, and all that is wrong. */
static const char *pattern_read_other(struct pattern *out, const char *text, size_t len)
{
    const char *fault = pattern_check_text(text, len);
    memset(out->name, 0, sizeof(out->name)); /* as far as it was read as a plain one */
    if (fault != NULL)
        return fault;
    if (!pattern_is_network(text, len))
        return pattern_read_host(out, text, len);
    if (network_read(&out->network, text, len, &fault))
        out->kind = PATTERN_NETWORK;
    return fault;
}

bool pattern_read(struct pattern *out, const char *text, size_t len, const char **why)
{
    const size_t stars = pattern_starts_below(text, len) ? 2 : 0;
    memset(out, 0, sizeof(*out));
    /* Nearly all of a long list are plain names, and a name is no address. */
    if (hostname_read(out->name, text + stars, len - stars))
        *why = pattern_accept(out, stars != 0);
    else
        *why = pattern_read_other(out, text, len);
    if (*why != NULL)
        memset(out->name, 0, sizeof(out->name)); /* of a network the caller may say what was written */
    return *why == NULL;
}

static bool pattern_is_below(const char *name, const char *top)
{
    size_t name_len = strlen(name), top_len = strlen(top);
    return name_len > top_len && name[name_len - top_len - 1] == '.' && strcmp(name + name_len - top_len, top) == 0;
}

bool pattern_matches(const struct pattern *pattern, const struct host *host)
{
    switch (pattern->kind) {
    case PATTERN_EXACT:
        return host->kind == HOST_NAME && strcmp(pattern->name, host->name) == 0;
    case PATTERN_BELOW:
        return host->kind == HOST_NAME && pattern_is_below(host->name, pattern->name);
    case PATTERN_NETWORK:
        return host->kind == HOST_ADDRESS && network_has(&pattern->network, &host->address);
    case PATTERN_BAD:
        break;
    }
    return false;
}
