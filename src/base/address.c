/* One IP address, or one with a port: the only address type of the house. */
#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/number.h"
#include "base/text.h"

static const uint8_t MAPPED_PREFIX[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool address_read(struct address *out, const char *text, size_t len)
{
    char copy[ADDRESS_TEXT_MAX];
    memset(out, 0, sizeof(*out));
    if (memchr(text, '\0', len) || !text_copy(copy, sizeof(copy), text, len))
        return false;
    if (inet_pton(AF_INET, copy, out->bytes) == 1) {
        out->family = FAMILY_V4;
        return true;
    }
    if (inet_pton(AF_INET6, copy, out->bytes) == 1) {
        out->family = FAMILY_V6;
        return true;
    }
    memset(out, 0, sizeof(*out));
    return false;
}

bool endpoint_read(struct endpoint *out, const char *text, size_t len)
{
    struct endpoint read;
    uint64_t port;
    memset(out, 0, sizeof(*out));
    const char *colon = memrchr(text, ':', len);
    if (!colon)
        return false;
    size_t host_len = (size_t)(colon - text);
    bool bracketed = host_len >= 2 && text[0] == '[' && text[host_len - 1] == ']';
    if (!address_read(&read.ip, text + bracketed, host_len - 2 * bracketed) || bracketed != (read.ip.family == FAMILY_V6))
        return false;
    if (!number_read(&port, colon + 1, len - host_len - 1, UINT16_MAX))
        return false;
    read.port = (uint16_t)port;
    *out = read;
    return true;
}

/* Half of what a record says is such addresses, and inet_ntop(3) prints them by format: digit by digit it is a tenth of that. */
static void address_v4_text(const uint8_t bytes[4], char buf[ADDRESS_TEXT_MAX])
{
    char *at = buf;
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            *at++ = '.';
        if (bytes[i] >= 100)
            *at++ = (char)('0' + bytes[i] / 100);
        if (bytes[i] >= 10)
            *at++ = (char)('0' + bytes[i] / 10 % 10);
        *at++ = (char)('0' + bytes[i] % 10);
    }
    *at = '\0';
}

const char *address_text(const struct address *address, char buf[ADDRESS_TEXT_MAX])
{
    if (address->family == FAMILY_V4)
        address_v4_text(address->bytes, buf);
    else if (!address_is_set(address) || !inet_ntop(AF_INET6, address->bytes, buf, ADDRESS_TEXT_MAX))
        text_copy(buf, ADDRESS_TEXT_MAX, "-", 1);
    return buf;
}

const char *endpoint_text(const struct endpoint *endpoint, char buf[ENDPOINT_TEXT_MAX])
{
    char ip[ADDRESS_TEXT_MAX];
    struct text text;
    text_init(&text, buf, ENDPOINT_TEXT_MAX);
    address_text(&endpoint->ip, ip);
    if (!address_is_set(&endpoint->ip))
        text_add(&text, ip);
    else if (endpoint->ip.family == FAMILY_V6)
        text_format(&text, "[%s]:%u", ip, (unsigned)endpoint->port);
    else
        text_format(&text, "%s:%u", ip, (unsigned)endpoint->port);
    return buf;
}

bool address_is_set(const struct address *address)
{
    return address_size(address) != 0;
}

bool address_equal(const struct address *a, const struct address *b)
{
    return address_is_set(a) && address_compare(a, b) == 0;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && address_equal(&a->ip, &b->ip);
}

int address_compare(const struct address *a, const struct address *b)
{
    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    return memcmp(a->bytes, b->bytes, address_size(a));
}

size_t address_size(const struct address *address)
{
    switch (address->family) {
    case FAMILY_V4:
        return 4;
    case FAMILY_V6:
        return 16;
    default:
        return 0;
    }
}

bool address_unmap(struct address *v4, const struct address *address)
{
    if (address->family != FAMILY_V6 || memcmp(address->bytes, MAPPED_PREFIX, sizeof(MAPPED_PREFIX)) != 0)
        return false;
    struct address plain = {.family = FAMILY_V4};
    memcpy(plain.bytes, address->bytes + sizeof(MAPPED_PREFIX), 4);
    *v4 = plain;
    return true;
}

bool address_is_any(const struct address *address)
{
    static const uint8_t zero[16];
    return address_is_set(address) && memcmp(address->bytes, zero, address_size(address)) == 0;
}

size_t endpoint_to_sockaddr(const struct endpoint *endpoint, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (endpoint->ip.family == FAMILY_V4) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)out;
        v4->sin_family = AF_INET;
        v4->sin_port = htons(endpoint->port);
        memcpy(&v4->sin_addr, endpoint->ip.bytes, 4);
        return sizeof(*v4);
    }
    if (endpoint->ip.family == FAMILY_V6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(endpoint->port);
        memcpy(&v6->sin6_addr, endpoint->ip.bytes, 16);
        return sizeof(*v6);
    }
    return 0;
}

bool endpoint_from_sockaddr(struct endpoint *out, const struct sockaddr *from, size_t len)
{
    struct sockaddr_storage copy = {0};
    memset(out, 0, sizeof(*out));
    memcpy(&copy, from, len < sizeof(copy) ? len : sizeof(copy));
    if (copy.ss_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&copy;
        out->ip.family = FAMILY_V4;
        memcpy(out->ip.bytes, &v4->sin_addr, 4);
        out->port = ntohs(v4->sin_port);
        return true;
    }
    if (copy.ss_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&copy;
        out->ip.family = FAMILY_V6;
        memcpy(out->ip.bytes, &v6->sin6_addr, 16);
        address_unmap(&out->ip, &out->ip);
        out->port = ntohs(v6->sin6_port);
        return true;
    }
    return false;
}
