/* Fuzzes hosts and networks: what is accepted is in one normal form, and no reader is more generous than inet_pton(3). */
#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "policy/hostname.h"
#include "policy/network.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const char *text, size_t len)
{
    char name[HOSTNAME_SIZE], again[HOSTNAME_SIZE];
    if (!hostname_read(name, text, len)) {
        assert(name[0] == '\0');
        return;
    }
    size_t name_len = strlen(name);
    struct in_addr inet;
    assert(name_len > 0 && name_len <= HOSTNAME_MAX && name_len <= len);
    assert(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == name_len);
    assert(name[0] != '.' && name[name_len - 1] != '.' && strstr(name, "..") == NULL);
    assert(hostname_read(again, name, name_len) && strcmp(name, again) == 0);
    assert(inet_aton(name, &inet) == 0);
}

static void check_host(const char *text, size_t len, bool bracketed)
{
    struct host host, again;
    enum host_kind kind = host_read(&host, text, len, bracketed);
    assert(kind == host.kind);
    assert((kind == HOST_BAD) == (host.name[0] == '\0'));
    assert((kind == HOST_ADDRESS) == address_is_set(&host.address));
    if (kind == HOST_BAD)
        return;
    assert(host_read(&again, host.name, strlen(host.name), bracketed) == kind);
    assert(strcmp(host.name, again.name) == 0);
    assert(kind == HOST_NAME || address_equal(&host.address, &again.address));
}

static void check_address_part(const char *text, size_t len, const struct network *network)
{
    char copy[64] = "";
    unsigned char bytes[16] = {0};
    assert(len < sizeof(copy));
    memcpy(copy, text, len);
    int family = network->base.family == FAMILY_V4 ? AF_INET : AF_INET6;
    assert(inet_pton(family, copy, bytes) == 1);
    assert(memcmp(bytes, network->base.bytes, sizeof(bytes)) == 0);
}

static void check_network(const char *text, size_t len)
{
    struct network network, again;
    const char *why = NULL;
    char buf[NETWORK_TEXT_MAX];
    if (!network_read(&network, text, len, &why)) {
        assert(why != NULL);
        /* every plain IPv4 address that inet_pton takes is a network of one */
        char copy[64] = "";
        unsigned char bytes[4];
        if (len < sizeof(copy))
            memcpy(copy, text, len);
        assert(strlen(copy) != len || inet_pton(AF_INET, copy, bytes) != 1);
        return;
    }
    const char *slash = memchr(text, '/', len);
    check_address_part(text, slash ? (size_t)(slash - text) : len, &network);
    assert(network_has(&network, &network.base));
    network_text(&network, buf);
    assert(network_read(&again, buf, strlen(buf), &why) && memcmp(&again, &network, sizeof(again)) == 0);
    assert(network_aggregate(&again, 1) == 1 && memcmp(&again, &network, sizeof(again)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* its own block, so that a byte read too far is seen */
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    check_name(text, size);
    check_host(text, size, false);
    check_host(text, size, true);
    check_network(text, size);
    free(text);
    return 0;
}
