/* CIDRs: read strictly, compared, searched and aggregated (libcidr, behind a strict gate). */
#include "policy/network.h"

#include <assert.h>
#include <libcidr.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/text.h"

static bool network_has_bit(const struct network *network, unsigned bit)
{
    return network->base.bytes[bit / 8] & (0x80 >> bit % 8);
}

bool network_has(const struct network *network, const struct address *address)
{
    const size_t whole = network->prefix / 8;
    const unsigned rest = network->prefix % 8;
    if (network->base.family != address->family || (whole > 0 && network->base.bytes[0] != address->bytes[0]))
        return false; /* nearly always */
    if (!address_is_set(address) || memcmp(network->base.bytes, address->bytes, whole) != 0)
        return false;
    return rest == 0 || ((network->base.bytes[whole] ^ address->bytes[whole]) >> (8 - rest)) == 0;
}

void network_mask(struct network *network)
{
    for (unsigned bit = network->prefix; bit < 8 * address_size(&network->base); bit++)
        network->base.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

/* IPv4 written as IPv6 would be a second name for the same hosts, which no IPv4 CIDR covers. */
static bool network_is_mapped(const struct network *network)
{
    struct address v4;
    return network->prefix >= 96 && address_unmap(&v4, &network->base);
}

/* cidr_from_str() looks for an ending ".arpa" without asking whether the text is that long, so it reads before the start of `::/0`. */
#define CIDR_MARGIN 8

/* libcidr's reading of what the gate has let in. NULL: out of memory, or it reads something else than we do. */
static CIDR *network_to_cidr(const struct network *network)
{
    char text[CIDR_MARGIN + NETWORK_TEXT_MAX] = {0};
    CIDR *cidr = cidr_from_str(network_cidr_text(network, text + CIDR_MARGIN));
    if (cidr == NULL)
        return NULL;
    bool v4 = network->base.family == FAMILY_V4;
    uint8_t *bytes = cidr_get_addr(cidr); /* 16 of them; IPv4 stands in the last four */
    bool agrees = bytes != NULL && cidr_get_proto(cidr) == (v4 ? CIDR_IPV4 : CIDR_IPV6) && cidr_get_pflen(cidr) == network->prefix &&
                  memcmp(bytes + (v4 ? 12 : 0), network->base.bytes, address_size(&network->base)) == 0;
    free(bytes);
    if (!agrees) {
        cidr_free(cidr);
        return NULL;
    }
    return cidr;
}

enum network_bits { BITS_UNKNOWN = 0, BITS_CLEAR, BITS_SET };

/* Whether host bits are set, by libcidr. */
static enum network_bits network_host_bits(const struct network *network)
{
    CIDR *cidr = network_to_cidr(network);
    CIDR *masked = cidr ? cidr_addr_network(cidr) : NULL;
    enum network_bits bits = BITS_UNKNOWN;
    if (masked != NULL)
        bits = cidr_equals(cidr, masked) == 0 ? BITS_CLEAR : BITS_SET;
    if (cidr != NULL)
        cidr_free(cidr);
    if (masked != NULL)
        cidr_free(masked);
    return bits;
}

/* Address and prefix, as inet_pton(3) and decimal digits have them: what libcidr would guess at (`10`, `1.2.3`, `/24x`) ends here. */
static const char *network_split(struct network *out, const char *text, size_t len)
{
    const char *slash = memchr(text, '/', len);
    size_t address_len = slash ? (size_t)(slash - text) : len;
    if (!address_read(&out->base, text, address_len))
        return "not an address or a CIDR; such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32 are taken";
    uint64_t bits = 8 * address_size(&out->base);
    if (slash != NULL && !number_read(&bits, slash + 1, len - address_len - 1, bits))
        return "not a prefix; a number from 0 to 32 (IPv6: 128) is taken";
    out->prefix = (uint8_t)bits;
    return NULL;
}

bool network_read(struct network *out, const char *text, size_t len, const char **why)
{
    struct network read = {0};
    memset(out, 0, sizeof(*out));
    *why = network_split(&read, text, len);
    if (*why != NULL)
        return false;
    if (network_is_mapped(&read)) {
        *why = "IPv4 inside IPv6; write the IPv4 network itself";
        return false;
    }
    switch (network_host_bits(&read)) {
    case BITS_CLEAR:
        *out = read;
        return true;
    case BITS_SET:
        *out = read;
        *why = "host bits are set";
        return false;
    case BITS_UNKNOWN:
        break;
    }
    *why = "cannot be read (libcidr disagrees, or there is no memory)";
    return false;
}

const char *network_cidr_text(const struct network *network, char buf[NETWORK_TEXT_MAX])
{
    char address[ADDRESS_TEXT_MAX];
    struct text text;
    text_init(&text, buf, NETWORK_TEXT_MAX);
    text_format(&text, "%s/%u", address_text(&network->base, address), network->prefix);
    return buf;
}

const char *network_text(const struct network *network, char buf[NETWORK_TEXT_MAX])
{
    if (network->prefix == 8 * address_size(&network->base))
        return address_text(&network->base, buf);
    return network_cidr_text(network, buf);
}

/* By address, the wider one first: what holds a network always stands before it. */
static int network_compare(const void *left, const void *right)
{
    const struct network *a = left, *b = right;
    int order = address_compare(&a->base, &b->base);
    return order ? order : (int)a->prefix - (int)b->prefix;
}

static bool network_covers(const struct network *outer, const struct network *inner)
{
    return outer->prefix <= inner->prefix && network_has(outer, &inner->base);
}

/* Two halves of one network: the same prefix, and only its last bit differs. `low` sorts before `high`. */
static bool network_are_halves(const struct network *low, const struct network *high)
{
    if (low->prefix != high->prefix || low->prefix == 0 || network_has_bit(low, low->prefix - 1u))
        return false;
    struct network whole = {.base = low->base, .prefix = (uint8_t)(low->prefix - 1)};
    return network_has(&whole, &high->base);
}

size_t network_aggregate(struct network *networks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        network_mask(&networks[i]);
    if (count > 1)
        qsort(networks, count, sizeof(*networks), network_compare);

    /* The front of the array is a stack of what is done; a new one may complete the top, which may complete the one below. */
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        if (done > 0 && network_covers(&networks[done - 1], &networks[i]))
            continue;
        networks[done++] = networks[i];
        while (done > 1 && network_are_halves(&networks[done - 2], &networks[done - 1])) {
            networks[done - 2].prefix--;
            done--;
        }
    }
    return done;
}

bool network_is_private(const struct network *network)
{
    static const struct network own[] = {
        {{FAMILY_V4, {10}}, 8},       {{FAMILY_V4, {172, 16}}, 12},   {{FAMILY_V4, {192, 168}}, 16},   /* RFC 1918 */
        {{FAMILY_V4, {100, 64}}, 10}, {{FAMILY_V4, {127}}, 8},        {{FAMILY_V4, {169, 254}}, 16},   /* CGNAT, loopback, link-local */
        {{FAMILY_V6, {0xfc}}, 7},     {{FAMILY_V6, {[15] = 1}}, 128}, {{FAMILY_V6, {0xfe, 0x80}}, 10}, /* ULA, loopback, link-local */
    };
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (network_covers(&own[i], network))
            return true;
    }
    return false;
}

#define NO_PARENT UINT32_MAX

struct network_set {
    struct network *at;
    uint32_t *parents; /* sealed: the narrowest other network that holds this one */
    size_t count;
    size_t room;
    bool sealed;
};

struct network_set *network_set_new(void)
{
    return calloc(1, sizeof(struct network_set));
}

void network_set_free(struct network_set *set)
{
    if (set == NULL)
        return;
    free(set->at);
    free(set->parents);
    free(set);
}

bool network_set_add(struct network_set *set, const struct network *network)
{
    assert(!set->sealed);
    if (set->count == set->room) {
        size_t room = set->room ? 2 * set->room : 4;
        struct network *at = room < NO_PARENT ? realloc(set->at, room * sizeof(*at)) : NULL;
        if (at == NULL)
            return false;
        set->at = at;
        set->room = room;
    }
    set->at[set->count] = *network;
    network_mask(&set->at[set->count++]);
    return true;
}

static void network_set_drop_doubles(struct network_set *set)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (kept == 0 || network_compare(&set->at[kept - 1], &set->at[i]) != 0)
            set->at[kept++] = set->at[i];
    }
    set->count = kept;
}

bool network_set_seal(struct network_set *set)
{
    if (set->sealed)
        return true;
    set->parents = malloc((set->count + 1) * sizeof(*set->parents));
    if (set->parents == NULL)
        return false;
    if (set->count > 1)
        qsort(set->at, set->count, sizeof(*set->at), network_compare);
    network_set_drop_doubles(set);
    for (size_t i = 0; i < set->count; i++) {
        uint32_t parent = i > 0 ? (uint32_t)(i - 1) : NO_PARENT;
        while (parent != NO_PARENT && !network_covers(&set->at[parent], &set->at[i]))
            parent = set->parents[parent];
        set->parents[i] = parent;
    }
    set->sealed = true;
    return true;
}

size_t network_set_count(const struct network_set *set)
{
    return set ? set->count : 0;
}

/* The last network whose base is not past the address holds it, or one of those around it does, or none. */
const struct network *network_set_find(const struct network_set *set, const struct address *address)
{
    if (set == NULL || set->count == 0)
        return NULL;
    assert(set->sealed);
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (address_compare(&set->at[middle].base, address) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    uint32_t index = low > 0 ? (uint32_t)(low - 1) : NO_PARENT;
    while (index != NO_PARENT && !network_has(&set->at[index], address))
        index = set->parents[index];
    return index == NO_PARENT ? NULL : &set->at[index];
}
