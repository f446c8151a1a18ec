/* The normal form of a host: what CONNECT, an SNI, a pattern and DNS all mean by the same name. */
#include "policy/hostname.h"

#include <string.h>

#define LABEL_MAX 63

static bool hostname_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool hostname_is_hex(char c)
{
    return hostname_is_digit(c) || (c >= 'a' && c <= 'f');
}

/* One byte in its normal form, or NUL when no label may hold it. Not <ctype.h>: the locale has no say here. */
static char hostname_fold(char c)
{
    static const char FROM_DASH_TO_Z[] = "-\0\0"
                                         "0123456789"
                                         "\0\0\0\0\0\0\0"
                                         "abcdefghijklmnopqrstuvwxyz"
                                         "\0\0\0\0_\0"
                                         "abcdefghijklmnopqrstuvwxyz";
    const size_t at = (size_t)(unsigned char)c - '-';
    return at < sizeof(FROM_DASH_TO_Z) ? FROM_DASH_TO_Z[at] : '\0';
}

/* A name whose last label is a number is an address to inet_aton(3) and to the WHATWG parser, in some base or other; a sign changes nothing for
 * those that read it with strtol(3). `label` is folded. */
static bool hostname_is_number(const char *label, size_t len)
{
    while (len > 0 && *label == '-') {
        label++;
        len--;
    }
    bool hex = len >= 2 && label[0] == '0' && label[1] == 'x';
    for (size_t i = hex ? 2 : 0; i < len; i++) {
        if (hex ? !hostname_is_hex(label[i]) : !hostname_is_digit(label[i]))
            return false;
    }
    return len > 0;
}

/* Folds into `out`, which has room for len + 1; true when it is dot-separated labels of 1 to 63 good bytes, the last of them no number. */
static bool hostname_fold_labels(char *out, const char *text, size_t len)
{
    size_t label = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '.') {
            if (i == label)
                return false;
            label = i + 1;
            out[i] = '.';
            continue;
        }
        out[i] = hostname_fold(text[i]);
        if (out[i] == '\0' || i - label == LABEL_MAX)
            return false;
    }
    out[len] = '\0';
    return len > label && !hostname_is_number(out + label, len - label);
}

bool hostname_read(char out[HOSTNAME_SIZE], const char *text, size_t len)
{
    if (len > 0 && text[len - 1] == '.')
        len--;
    if (len > 0 && len <= HOSTNAME_MAX && hostname_fold_labels(out, text, len))
        return true;
    out[0] = '\0';
    return false;
}

/* An address as it must be written in an authority: IPv6 with brackets, IPv4 without. */
static bool host_read_address(struct host *out, const char *text, size_t len, bool bracketed)
{
    if (!address_read(&out->address, text, len))
        return false;
    if (out->address.family == (bracketed ? FAMILY_V6 : FAMILY_V4)) {
        address_text(&out->address, out->name);
        return true;
    }
    memset(&out->address, 0, sizeof(out->address));
    return false;
}

enum host_kind host_read(struct host *out, const char *text, size_t len, bool bracketed)
{
    memset(out, 0, sizeof(*out));
    if (host_read_address(out, text, len, bracketed))
        out->kind = HOST_ADDRESS;
    else if (!bracketed && hostname_read(out->name, text, len))
        out->kind = HOST_NAME;
    return out->kind;
}
