/* CIDRs: what is read, what is refused, and whether sets and aggregates mean the same addresses as a plain loop. */
#include <criterion/criterion.h>
#include <string.h>

#include "policy/network.h"

static struct network network_of(const char *text)
{
    struct network network;
    const char *why;
    cr_assert(network_read(&network, text, strlen(text), &why), "%s: %s", text, why);
    return network;
}

static struct address address_of(const char *text)
{
    struct address address;
    cr_assert(address_read(&address, text, strlen(text)), "%s", text);
    return address;
}

Test(network, reads)
{
    static const struct {
        const char *in, *text, *cidr;
    } examples[] = {
        {"10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8"},
        {"192.0.2.1", "192.0.2.1", "192.0.2.1/32"},
        {"192.0.2.1/32", "192.0.2.1", "192.0.2.1/32"},
        {"0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0"},
        {"::/0", "::/0", "::/0"},
        {"2001:DB8:0::/32", "2001:db8::/32", "2001:db8::/32"},
        {"::1", "::1", "::1/128"},
        {"64:ff9b::/96", "64:ff9b::/96", "64:ff9b::/96"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
    };
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        struct network network = network_of(examples[i].in);
        char buf[NETWORK_TEXT_MAX];
        cr_expect_str_eq(network_text(&network, buf), examples[i].text);
        cr_expect_str_eq(network_cidr_text(&network, buf), examples[i].cidr);
    }
}

/* Each of these libcidr would take for something, or somebody would take for something else. */
Test(network, refuses)
{
    static const char *const bad[] = {
        "", "/", "/8", "10", "10/8", "1.2.3", "1.2.3/24", "010.0.0.0/8", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/+8", "10.0.0.0/33", "10.0.0.0/-1",
        "10.0.0.0/8x", "10.0.0.0/8/8", "10.0.0.0/255.0.0.0", " 10.0.0.0/8", "10.0.0.0/8 ", "10.0.0.0 /8", "10.0.0.1/8", "10.0.0.0.0", "0x0a.0.0.0",
        "2001:db8::/129", "2001:db8::1/32", "2001:db8", ":::", "fe80::1%eth0", "[::1]", "::ffff:10.0.0.0/104", "::ffff:192.0.2.1", "1::2::3", "a.b",
        "10.0.0.0/99999999999999999999", "10.0.0.0/4294967304",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct network network;
        const char *why = NULL;
        cr_expect_not(network_read(&network, bad[i], strlen(bad[i]), &why), "%s", bad[i]);
        cr_expect(why != NULL && *why != '\0', "%s", bad[i]);
    }
    struct network network;
    const char *why;
    cr_expect_not(network_read(&network, "10.0.0.0\0/8", 11, &why));
}

Test(network, host_bits_name_the_network_that_was_meant)
{
    struct network network;
    const char *why;
    char buf[NETWORK_TEXT_MAX];
    cr_assert_not(network_read(&network, "2001:db8::5/33", 14, &why));
    cr_expect_str_eq(why, "host bits are set");
    network_mask(&network);
    cr_expect_str_eq(network_cidr_text(&network, buf), "2001:db8::/33");
    cr_assert_not(network_read(&network, "10.0.0.0/99", 11, &why));
    cr_expect_not(address_is_set(&network.base), "other faults leave nothing");
}

Test(network, has)
{
    static const struct {
        const char *network, *address;
        bool has;
    } examples[] = {
        {"10.0.0.0/8", "10.255.0.1", true},      {"10.0.0.0/8", "11.0.0.0", false},       {"0.0.0.0/0", "255.255.255.255", true},
        {"0.0.0.0/0", "::1", false},             {"::/0", "0.0.0.0", false},              {"::/0", "::ffff:10.0.0.1", true},
        {"10.0.0.0/8", "::ffff:10.0.0.1", false}, {"192.0.2.128/25", "192.0.2.127", false}, {"192.0.2.128/25", "192.0.2.255", true},
        {"192.0.2.1/32", "192.0.2.1", true},     {"192.0.2.1/32", "192.0.2.0", false},    {"2001:db8::/33", "2001:db8:8000::", false},
    };
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        struct network network = network_of(examples[i].network);
        struct address address = address_of(examples[i].address);
        cr_expect_eq(network_has(&network, &address), examples[i].has, "%s in %s", examples[i].address, examples[i].network);
    }
    struct network zero = {0};
    struct address none = {0};
    cr_expect_not(network_has(&zero, &none), "nothing is in nothing");
}

static void expect_aggregate(const char *in, const char *out)
{
    struct network networks[32];
    size_t count = 0;
    char copy[512], got[512] = "", *at = copy, buf[NETWORK_TEXT_MAX];
    strcpy(copy, in);
    for (char *word; (word = strsep(&at, " "));)
        networks[count++] = network_of(word);
    count = network_aggregate(networks, count);
    for (size_t i = 0; i < count; i++) {
        strcat(got, i ? " " : "");
        strcat(got, network_text(&networks[i], buf));
    }
    cr_expect_str_eq(got, out, "%s gives %s", in, got);
}

Test(network, aggregates)
{
    expect_aggregate("192.0.2.1 192.0.2.0", "192.0.2.0/31");
    expect_aggregate("192.0.2.1 192.0.2.2", "192.0.2.1 192.0.2.2"); /* neighbours, but no halves of one network */
    expect_aggregate("10.0.0.3 10.0.0.1 10.0.0.2 10.0.0.0 10.0.0.4", "10.0.0.0/30 10.0.0.4");
    expect_aggregate("10.1.0.0/16 10.0.0.0/8 10.0.0.1", "10.0.0.0/8");
    expect_aggregate("0.0.0.0/1 128.0.0.0/1", "0.0.0.0/0");
    expect_aggregate("::/1 8000::/1 10.0.0.0/8 10.0.0.0/8", "10.0.0.0/8 ::/0");
    expect_aggregate("203.0.113.16/29 203.0.113.24/29", "203.0.113.16/28");
    expect_aggregate("192.0.2.2 192.0.2.3 192.0.2.0/31 192.0.2.4/30", "192.0.2.0/29");
    cr_expect_eq(network_aggregate(NULL, 0), 0);
}

Test(network, private_ones)
{
    static const struct {
        const char *network;
        bool own;
    } examples[] = {
        {"10.20.0.0/16", true}, {"172.16.0.0/12", true}, {"172.0.0.0/11", false}, {"192.168.0.1", true}, {"100.64.1.0/24", true}, {"127.0.0.1", true},
        {"fd00::/8", true},     {"fe80::1", true},       {"::1", true},            {"::/127", false},     {"203.0.113.16/29", false},
        {"8.8.8.8", false},     {"2001:db8::/32", false}, {"0.0.0.0/0", false},
    };
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        struct network network = network_of(examples[i].network);
        cr_expect_eq(network_is_private(&network), examples[i].own, "%s", examples[i].network);
    }
}

/* Small worlds of random networks, where many nest and repeat. */
static struct network random_network(unsigned *seed)
{
    struct network network = {0};
    bool v4 = rand_r(seed) % 2;
    network.base.family = v4 ? FAMILY_V4 : FAMILY_V6;
    network.base.bytes[0] = 10;
    network.base.bytes[1] = (uint8_t)(rand_r(seed) % 4);
    network.base.bytes[2] = (uint8_t)(rand_r(seed) % 8 << 5);
    network.prefix = (uint8_t)(rand_r(seed) % 25);
    network_mask(&network);
    return network;
}

static struct address random_address(unsigned *seed)
{
    struct address address = {.family = rand_r(seed) % 2 ? FAMILY_V4 : FAMILY_V6, .bytes = {10}};
    address.bytes[0] = (uint8_t)(9 + rand_r(seed) % 3);
    address.bytes[1] = (uint8_t)(rand_r(seed) % 5);
    address.bytes[2] = (uint8_t)rand_r(seed);
    return address;
}

static int narrowest(const struct network *networks, size_t count, const struct address *address)
{
    int prefix = -1;
    for (size_t i = 0; i < count; i++) {
        if (network_has(&networks[i], address) && networks[i].prefix > prefix)
            prefix = networks[i].prefix;
    }
    return prefix;
}

Test(network, sets_and_aggregates_agree_with_a_loop)
{
    unsigned seed = 20261121;
    for (int round = 0; round < 200; round++) {
        struct network networks[40];
        size_t count = (size_t)(rand_r(&seed) % 40);
        struct network_set *set = network_set_new();
        for (size_t i = 0; i < count; i++) {
            networks[i] = random_network(&seed);
            cr_assert(network_set_add(set, &networks[i]));
        }
        cr_assert(network_set_seal(set));
        struct network joined[40];
        memcpy(joined, networks, sizeof(joined));
        size_t left = network_aggregate(joined, count);
        cr_expect(left <= network_set_count(set));
        for (int i = 0; i < 200; i++) {
            struct address address = random_address(&seed);
            const struct network *found = network_set_find(set, &address);
            int wanted = narrowest(networks, count, &address);
            cr_expect_eq(found ? found->prefix : -1, wanted);
            cr_expect_eq(narrowest(joined, left, &address) >= 0, wanted >= 0);
        }
        network_set_free(set);
    }
}

Test(network, no_set_holds_nothing)
{
    struct address address = address_of("192.0.2.1");
    cr_expect_null(network_set_find(NULL, &address));
    struct network_set *set = network_set_new();
    cr_expect_null(network_set_find(set, &address));
    cr_assert(network_set_seal(set));
    cr_expect_null(network_set_find(set, &address));
    cr_expect_eq(network_set_count(set), 0);
    network_set_free(set);
}
