/* What kind of place an address is, by the vectors made from the IANA registries. */
#include <criterion/criterion.h>
#include <string.h>

#include "data.h"
#include "policy/address_class.h"

static struct address address_of(const char *text)
{
    struct address address;
    cr_assert(address_read(&address, text, strlen(text)), "%s", text);
    return address;
}

Test(address_class, vectors)
{
    FILE *file = data_open("vectors/address.jsonl");
    unsigned count = 0;
    for (json_t *row; (row = data_next(file)); json_decref(row)) {
        if (strcmp(data_text(row, "kind"), "address") != 0)
            continue;
        struct address address = address_of(data_text(row, "input"));
        enum address_class class = address_class_of(&address);
        cr_expect_str_eq(address_class_text(class), data_text(row, "expect"), "%s: %s is %s (%s)", data_text(row, "id"), data_text(row, "input"),
                         address_class_text(class), data_text(row, "why"));
        cr_expect_eq(class == ADDRESS_PUBLIC, json_is_true(json_object_get(row, "forward")));
        count++;
    }
    fclose(file);
    cr_expect(count >= 69, "%u addresses", count);
}

struct example {
    const char *address;
    enum address_class class;
};

/* Beside the vectors: where a registry's entry ends, and what has been got wrong elsewhere. */
Test(address_class, edges)
{
    static const struct example examples[] = {
        {"0.0.0.0", ADDRESS_RESERVED},           {"0.255.255.255", ADDRESS_RESERVED},    {"1.0.0.0", ADDRESS_PUBLIC},
        {"9.255.255.255", ADDRESS_PUBLIC},       {"10.255.255.255", ADDRESS_PRIVATE},    {"100.63.255.255", ADDRESS_PUBLIC},
        {"100.127.255.255", ADDRESS_CGNAT},      {"127.255.255.255", ADDRESS_LOOPBACK},  {"128.0.0.0", ADDRESS_PUBLIC},
        {"169.254.169.255", ADDRESS_LINKLOCAL},  {"172.31.255.255", ADDRESS_PRIVATE},    {"172.32.0.0", ADDRESS_PUBLIC},
        {"192.31.196.1", ADDRESS_PUBLIC},        {"192.52.193.1", ADDRESS_PUBLIC},       {"198.17.255.255", ADDRESS_PUBLIC},
        {"224.0.0.0", ADDRESS_MULTICAST},        {"239.255.255.255", ADDRESS_MULTICAST}, {"240.0.0.0", ADDRESS_RESERVED},
        {"168.63.129.15", ADDRESS_PUBLIC},       {"169.254.169.254", ADDRESS_METADATA},  {"169.254.170.23", ADDRESS_METADATA},
        {"fd00:ec2::254", ADDRESS_METADATA},     {"fd00:ec2::23", ADDRESS_METADATA},     {"fd20:ce::254", ADDRESS_METADATA},
        {"fd00:ec2::1", ADDRESS_PRIVATE},        {"::", ADDRESS_RESERVED},               {"::1", ADDRESS_LOOPBACK},
        {"::2", ADDRESS_RESERVED},               {"::ffff:0:0", ADDRESS_MAPPED},         {"::1:0:0:0", ADDRESS_RESERVED},
        {"64:ff9b::ffff:ffff", ADDRESS_NAT64},   {"64:ff9b::1:0:0", ADDRESS_RESERVED},   {"64:ff9b:1:ffff::", ADDRESS_NAT64},
        {"100::1", ADDRESS_RESERVED},            {"1fff:ffff::", ADDRESS_RESERVED},      {"2001:1ff::1", ADDRESS_RESERVED},
        {"2001:200::1", ADDRESS_PUBLIC},         {"2001:db8::1", ADDRESS_RESERVED},      {"2001:db7:ffff::", ADDRESS_PUBLIC},
        {"2002:808:808::1", ADDRESS_RESERVED},   {"2003::1", ADDRESS_PUBLIC},            {"3fff:1000::", ADDRESS_PUBLIC},
        {"4000::", ADDRESS_RESERVED},            {"fe80::1", ADDRESS_LINKLOCAL},         {"febf:ffff::", ADDRESS_LINKLOCAL},
        {"fec0::1", ADDRESS_RESERVED},           {"fdff::1", ADDRESS_PRIVATE},           {"ff00::", ADDRESS_MULTICAST},
        {"2600::200:5efe:808:808", ADDRESS_RESERVED}, {"2600::100:5efe:808:808", ADDRESS_PUBLIC}, {"fe80::5efe:a00:1", ADDRESS_LINKLOCAL},
    };
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        struct address address = address_of(examples[i].address);
        cr_expect_eq(address_class_of(&address), examples[i].class, "%s is %s", examples[i].address, address_class_text(address_class_of(&address)));
    }
}

Test(address_class, no_address_is_not_public)
{
    struct address none = {0};
    cr_expect_eq(address_class_of(&none), ADDRESS_RESERVED);
    cr_expect_str_eq(address_class_text((enum address_class)99), "reserved");
}

Test(address_class, three_classes_need_listing)
{
    for (unsigned class = ADDRESS_RESERVED; class <= ADDRESS_NAT64; class++)
        cr_expect_eq(address_class_needs_listing(class), class == ADDRESS_LOOPBACK || class == ADDRESS_LINKLOCAL || class == ADDRESS_METADATA);
}

Test(address_class, ipv4_inside_ipv6)
{
    static const struct {
        const char *v6, *v4;
    } examples[] = {
        {"::ffff:192.0.2.1", "192.0.2.1"}, {"64:ff9b::c000:201", "192.0.2.1"}, {"2002:c000:201::1", "192.0.2.1"},
        {"::192.0.2.1", "192.0.2.1"},      {"2001:db8::c000:201", NULL},       {"192.0.2.1", NULL},
    };
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        struct address address = address_of(examples[i].v6), v4;
        bool found = address_class_embedded(&v4, &address);
        cr_expect_eq(found, examples[i].v4 != NULL, "%s", examples[i].v6);
        if (found && examples[i].v4) {
            struct address wanted = address_of(examples[i].v4);
            cr_expect(address_equal(&v4, &wanted), "%s", examples[i].v6);
        }
    }
}
