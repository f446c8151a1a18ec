/* What kind of place an address is: the IANA special-purpose registries as one table. */
#include "policy/address_class.h"

#include <string.h>

#include "policy/network.h"

/* clang-format off */
#define V4(a, b, c, d, bits) {{FAMILY_V4, {a, b, c, d}}, bits}
#define HEXTET(h) (h) >> 8, (h)&0xff
#define V6(a, b, c, d, e, f, g, h, bits) \
    {{FAMILY_V6, {HEXTET(a), HEXTET(b), HEXTET(c), HEXTET(d), HEXTET(e), HEXTET(f), HEXTET(g), HEXTET(h)}}, bits}
/* clang-format on */

struct special {
    struct network network;
    enum address_class class;
};

/* The first row that holds an address decides, so narrow ones stand before those around them. Registries read in November 2026:
 * iana-ipv4-special-registry, iana-ipv6-special-registry, ipv6-address-space. What they call globally reachable but no build has business with
 * (PCP and TURN anycast, ORCHID, DRIP) is reserved here; AMT and AS112 are left public. */
/* clang-format off */
static const struct special SPECIAL_ROWS[] = {
    /* The clouds' own: instance metadata, credentials, resolvers, clocks. */
    {V4(169, 254, 169, 254, 32), ADDRESS_METADATA},           /* AWS, Azure, Google, Oracle and most others */
    {V4(169, 254, 170, 2, 32), ADDRESS_METADATA},             /* AWS ECS task credentials */
    {V4(169, 254, 170, 23, 32), ADDRESS_METADATA},            /* AWS EKS pod identity */
    {V4(169, 254, 169, 253, 32), ADDRESS_METADATA},           /* AWS resolver */
    {V4(169, 254, 169, 123, 32), ADDRESS_METADATA},           /* AWS clock */
    {V4(169, 254, 42, 42, 32), ADDRESS_METADATA},             /* Scaleway */
    {V4(169, 254, 0, 23, 32), ADDRESS_METADATA},              /* Tencent */
    {V4(100, 100, 100, 200, 32), ADDRESS_METADATA},           /* Alibaba */
    {V4(192, 0, 0, 192, 32), ADDRESS_METADATA},               /* Oracle, classic */
    {V4(168, 63, 129, 16, 32), ADDRESS_METADATA},             /* Azure WireServer: looks public, is the host below */
    {V6(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254, 128), ADDRESS_METADATA}, /* AWS */
    {V6(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x23, 128), ADDRESS_METADATA},  /* AWS EKS pod identity */
    {V6(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x253, 128), ADDRESS_METADATA}, /* AWS resolver */
    {V6(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x123, 128), ADDRESS_METADATA}, /* AWS clock */
    {V6(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254, 128), ADDRESS_METADATA}, /* Google */
    {V6(0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x42, 128), ADDRESS_METADATA},  /* Scaleway */

    /* IPv4 */
    {V4(0, 0, 0, 0, 8), ADDRESS_RESERVED},        /* RFC 791: this network */
    {V4(10, 0, 0, 0, 8), ADDRESS_PRIVATE},        /* RFC 1918 */
    {V4(100, 64, 0, 0, 10), ADDRESS_CGNAT},       /* RFC 6598 */
    {V4(127, 0, 0, 0, 8), ADDRESS_LOOPBACK},      /* RFC 1122 */
    {V4(169, 254, 0, 0, 16), ADDRESS_LINKLOCAL},  /* RFC 3927 */
    {V4(172, 16, 0, 0, 12), ADDRESS_PRIVATE},     /* RFC 1918 */
    {V4(192, 0, 0, 0, 24), ADDRESS_RESERVED},     /* RFC 6890: DS-Lite, PCP and TURN anycast, NAT64 discovery */
    {V4(192, 0, 2, 0, 24), ADDRESS_RESERVED},     /* RFC 5737: documentation */
    {V4(192, 88, 99, 0, 24), ADDRESS_RESERVED},   /* RFC 7526: 6to4 relays, withdrawn */
    {V4(192, 168, 0, 0, 16), ADDRESS_PRIVATE},    /* RFC 1918 */
    {V4(198, 18, 0, 0, 15), ADDRESS_RESERVED},    /* RFC 2544: benchmarks */
    {V4(198, 51, 100, 0, 24), ADDRESS_RESERVED},  /* RFC 5737 */
    {V4(203, 0, 113, 0, 24), ADDRESS_RESERVED},   /* RFC 5737 */
    {V4(224, 0, 0, 0, 4), ADDRESS_MULTICAST},     /* RFC 5771 */
    {V4(240, 0, 0, 0, 4), ADDRESS_RESERVED},      /* RFC 1112, and RFC 919: limited broadcast */
    {V4(0, 0, 0, 0, 0), ADDRESS_PUBLIC},

    /* IPv6. Only 2000::/3 is global unicast; ::, IPv4-compatible and -translated, 100::/64, 5f00::/16 and fec0::/10 fall to the last row. */
    {V6(0, 0, 0, 0, 0, 0, 0, 1, 128), ADDRESS_LOOPBACK},          /* RFC 4291 */
    {V6(0, 0, 0, 0, 0, 0xffff, 0, 0, 96), ADDRESS_MAPPED},        /* RFC 4291 */
    {V6(0x0064, 0xff9b, 0, 0, 0, 0, 0, 0, 96), ADDRESS_NAT64},    /* RFC 6052 */
    {V6(0x0064, 0xff9b, 1, 0, 0, 0, 0, 0, 48), ADDRESS_NAT64},    /* RFC 8215: local use */
    {V6(0x2001, 3, 0, 0, 0, 0, 0, 0, 32), ADDRESS_PUBLIC},        /* RFC 7450: AMT */
    {V6(0x2001, 4, 0x112, 0, 0, 0, 0, 0, 48), ADDRESS_PUBLIC},    /* RFC 7535: AS112 */
    {V6(0x2001, 0, 0, 0, 0, 0, 0, 0, 23), ADDRESS_RESERVED},      /* RFC 2928: Teredo, anycast, benchmarks, ORCHID, DRIP */
    {V6(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0, 32), ADDRESS_RESERVED}, /* RFC 3849: documentation */
    {V6(0x2002, 0, 0, 0, 0, 0, 0, 0, 16), ADDRESS_RESERVED},      /* RFC 3056: 6to4 */
    {V6(0x3fff, 0, 0, 0, 0, 0, 0, 0, 20), ADDRESS_RESERVED},      /* RFC 9637: documentation */
    {V6(0x2000, 0, 0, 0, 0, 0, 0, 0, 3), ADDRESS_PUBLIC},         /* RFC 3587 */
    {V6(0xfc00, 0, 0, 0, 0, 0, 0, 0, 7), ADDRESS_PRIVATE},        /* RFC 4193: unique local */
    {V6(0xfe80, 0, 0, 0, 0, 0, 0, 0, 10), ADDRESS_LINKLOCAL},     /* RFC 4291 */
    {V6(0xff00, 0, 0, 0, 0, 0, 0, 0, 8), ADDRESS_MULTICAST},      /* RFC 4291 */
    {V6(0, 0, 0, 0, 0, 0, 0, 0, 0), ADDRESS_RESERVED},
};
/* clang-format on */

/* RFC 5214: an interface id of [02]00:5efe:a.b.c.d is a tunnel to a.b.c.d, below any prefix. */
static bool address_class_is_isatap(const struct address *address)
{
    const uint8_t *id = address->bytes + 8;
    return address->family == FAMILY_V6 && (id[0] & ~0x02) == 0 && id[1] == 0 && id[2] == 0x5e && id[3] == 0xfe;
}

enum address_class address_class_of(const struct address *address)
{
    for (size_t i = 0; i < sizeof(SPECIAL_ROWS) / sizeof(SPECIAL_ROWS[0]); i++) {
        if (!network_has(&SPECIAL_ROWS[i].network, address))
            continue;
        if (SPECIAL_ROWS[i].class == ADDRESS_PUBLIC && address_class_is_isatap(address))
            return ADDRESS_RESERVED;
        return SPECIAL_ROWS[i].class;
    }
    return ADDRESS_RESERVED;
}

bool address_class_embedded(struct address *v4, const struct address *address)
{
    static const struct {
        struct network network;
        uint8_t at; /* where the four bytes stand */
    } forms[] = {
        {V6(0, 0, 0, 0, 0, 0xffff, 0, 0, 96), 12},      /* mapped */
        {V6(0, 0, 0, 0, 0xffff, 0, 0, 0, 96), 12},      /* translated, RFC 2765 */
        {V6(0, 0, 0, 0, 0, 0, 0, 0, 96), 12},           /* compatible */
        {V6(0x0064, 0xff9b, 0, 0, 0, 0, 0, 0, 96), 12}, /* NAT64 */
        {V6(0x0064, 0xff9b, 1, 0, 0, 0, 0, 0, 48), 12}, /* NAT64, local use, as a /96 below it */
        {V6(0x2002, 0, 0, 0, 0, 0, 0, 0, 16), 2},       /* 6to4 */
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (!network_has(&forms[i].network, address))
            continue;
        memset(v4, 0, sizeof(*v4));
        v4->family = FAMILY_V4;
        memcpy(v4->bytes, address->bytes + forms[i].at, 4);
        return true;
    }
    return false;
}

const char *address_class_text(enum address_class class)
{
    static const char *const words[] = {
        [ADDRESS_RESERVED] = "reserved", [ADDRESS_PUBLIC] = "public",       [ADDRESS_PRIVATE] = "private",   [ADDRESS_CGNAT] = "cgnat",
        [ADDRESS_LOOPBACK] = "loopback", [ADDRESS_LINKLOCAL] = "linklocal", [ADDRESS_METADATA] = "metadata", [ADDRESS_MULTICAST] = "multicast",
        [ADDRESS_MAPPED] = "mapped",     [ADDRESS_NAT64] = "nat64",
    };
    return (unsigned)class < sizeof(words) / sizeof(words[0]) ? words[class] : words[ADDRESS_RESERVED];
}

bool address_class_needs_listing(enum address_class class)
{
    return class == ADDRESS_LOOPBACK || class == ADDRESS_LINKLOCAL || class == ADDRESS_METADATA;
}
