/* The header that a load balancer puts in front of a connection to say whose it is: bytes in, the client's address out, or why not. */
#include "wire/proxy_header.h"

#include <string.h>

#include "base/crc32c.h"
#include "base/number.h"

#define V1_MAX 107 /* bytes, with CRLF */
#define V1_PREFIX_SIZE 6
#define V2_SIGNATURE_SIZE 12
#define V2_FIXED_SIZE 16
#define TLV_HEADER 3
#define CRC32C_SIZE 4

/* Where in the fixed part of version 2 what stands. */
enum { V2_COMMAND_AT = 12, V2_PROTOCOL_AT = 13, V2_LENGTH_AT = 14 };

enum command { COMMAND_LOCAL = 0, COMMAND_PROXY = 1 };

/* Address family in the high half, transport in the low one. */
enum protocol {
    PROTOCOL_UNSPEC = 0x00,
    PROTOCOL_TCP4 = 0x11,
    PROTOCOL_UDP4 = 0x12,
    PROTOCOL_TCP6 = 0x21,
    PROTOCOL_UDP6 = 0x22,
    PROTOCOL_UNIX_STREAM = 0x31,
    PROTOCOL_UNIX_DATAGRAM = 0x32,
};

enum tlv_type { TLV_CRC32C = 0x03 };

static const uint8_t V1_PREFIX[V1_PREFIX_SIZE] = {'P', 'R', 'O', 'X', 'Y', ' '};
static const uint8_t V2_SIGNATURE[V2_SIGNATURE_SIZE] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

static const char FAULT_PROTOCOL[] = "the PROXY header must say TCP4, TCP6 or UNKNOWN behind one blank";

/* What of a line is still to be read; at NULL: nothing, not even an empty field. */
struct header_line {
    const char *at;
    size_t len;
};

void proxy_header_init(struct proxy_header *header)
{
    *header = (struct proxy_header){0};
}

static enum proxy_header_result header_bad(struct proxy_header *header, const char *fault)
{
    header->fault = fault;
    return PROXY_HEADER_BAD;
}

static enum proxy_header_result header_done(struct proxy_header *header, enum proxy_header_result result, size_t len)
{
    header->len = len;
    return result;
}

/* Byte `at` is the first that is not of a header: what came before it says who speaks, as far as that is easy to tell. */
static const char *header_foreign_fault(const uint8_t *bytes, size_t at)
{
    static const uint8_t methods[] = "CDGHOPT"; /* CONNECT, DELETE, GET, HEAD, OPTIONS, POST, TRACE begin so */
    if (bytes[0] == 0x16)
        return "no PROXY header: the connection begins with TLS";
    if (bytes[0] == 0x04 || bytes[0] == 0x05)
        return "no PROXY header: the connection begins with SOCKS";
    if (memchr(methods, bytes[0], sizeof(methods) - 1) && bytes[at] >= 'A' && bytes[at] <= 'Z')
        return "no PROXY header: the connection begins with an HTTP request";
    return "no PROXY header: the connection begins with something else";
}

/* The client is whom the policy judges: an address that cannot be anybody's is refused here. */
static enum proxy_header_result header_name_client(struct proxy_header *header, struct endpoint source, size_t len)
{
    address_unmap(&source.ip, &source.ip);
    bool multicast = source.ip.family == FAMILY_V4 ? source.ip.bytes[0] >> 4 == 0xe : source.ip.bytes[0] == 0xff;
    if (address_is_any(&source.ip) || multicast)
        return header_bad(header, "the source address of the PROXY header names nobody");
    header->client = source;
    return header_done(header, PROXY_HEADER_CLIENT, len);
}

/* Version 1: a line of text. */

/* What is wrong with byte `at`, where those before it are good. */
static const char *header_v1_byte_fault(const uint8_t *bytes, size_t at)
{
    uint8_t byte = bytes[at];
    if (at < V1_PREFIX_SIZE - 1)
        return byte == V1_PREFIX[at] ? NULL : header_foreign_fault(bytes, at);
    if (at == V1_PREFIX_SIZE - 1)
        return byte == ' ' ? NULL : FAULT_PROTOCOL;
    if (bytes[at - 1] == '\r')
        return byte == '\n' ? NULL : "a CR in the PROXY header must be followed by LF";
    if (byte == '\n')
        return "the PROXY header must end in CRLF, not in LF alone";
    if ((byte < 0x20 && byte != '\r') || byte == 0x7f)
        return "the PROXY header holds a control byte";
    return NULL;
}

/* Takes what stands before the next blank, or before the end. */
static bool header_v1_field(struct header_line *field, struct header_line *line)
{
    if (!line->at)
        return false;
    const char *blank = memchr(line->at, ' ', line->len);
    *field = (struct header_line){line->at, blank ? (size_t)(blank - line->at) : line->len};
    *line = blank ? (struct header_line){blank + 1, line->len - field->len - 1} : (struct header_line){0};
    return true;
}

static bool header_v1_is(struct header_line field, const char *word)
{
    return field.len == strlen(word) && memcmp(field.at, word, field.len) == 0;
}

static bool header_v1_address(struct address *out, struct header_line *line, enum family family)
{
    struct header_line field;
    return header_v1_field(&field, line) && address_read(out, field.at, field.len) && out->family == family;
}

static bool header_v1_port(uint16_t *out, struct header_line *line)
{
    struct header_line field;
    uint64_t port;
    if (!header_v1_field(&field, line) || !number_read(&port, field.at, field.len, UINT16_MAX))
        return false;
    *out = (uint16_t)port;
    return true;
}

/* What stands between prefix and CRLF; `len` is that of the whole header. */
static enum proxy_header_result header_v1_read(struct proxy_header *header, struct header_line line, size_t len)
{
    struct header_line protocol;
    struct endpoint source, destination;
    header_v1_field(&protocol, &line);
    if (header_v1_is(protocol, "UNKNOWN"))
        return header_done(header, PROXY_HEADER_SELF, len);
    if (!header_v1_is(protocol, "TCP4") && !header_v1_is(protocol, "TCP6"))
        return header_bad(header, FAULT_PROTOCOL);
    enum family family = header_v1_is(protocol, "TCP4") ? FAMILY_V4 : FAMILY_V6;
    if (!header_v1_address(&source.ip, &line, family) || !header_v1_address(&destination.ip, &line, family))
        return header_bad(header, "the PROXY header must hold two addresses of the family that it says, each behind one blank");
    if (!header_v1_port(&source.port, &line) || !header_v1_port(&destination.port, &line))
        return header_bad(header, "the PROXY header must hold two ports from 0 to 65535, each behind one blank");
    if (line.at)
        return header_bad(header, "the PROXY header goes on behind its ports");
    return header_name_client(header, source, len);
}

static enum proxy_header_result header_v1_feed(struct proxy_header *header, const uint8_t *bytes, size_t len)
{
    for (; header->seen < len && header->seen < V1_MAX; header->seen++) {
        const char *fault = header_v1_byte_fault(bytes, header->seen);
        if (fault)
            return header_bad(header, fault);
        if (bytes[header->seen] == '\n') {
            size_t line_len = header->seen - 1 - V1_PREFIX_SIZE;
            return header_v1_read(header, (struct header_line){(const char *)bytes + V1_PREFIX_SIZE, line_len}, header->seen + 1);
        }
    }
    return header->seen < V1_MAX ? PROXY_HEADER_MORE : header_bad(header, "the PROXY header does not end within 107 bytes");
}

/* Version 2: a block of bytes. */

static enum command header_v2_command(const uint8_t *bytes)
{
    return bytes[V2_COMMAND_AT] & 0x0f;
}

static const char *header_v2_command_fault(uint8_t byte)
{
    if (byte >> 4 != 2)
        return "the PROXY header has the signature of version 2 and another version";
    if ((byte & 0x0f) != COMMAND_LOCAL && (byte & 0x0f) != COMMAND_PROXY)
        return "the command of the PROXY header is neither LOCAL nor PROXY";
    return NULL;
}

static const char *header_v2_protocol_fault(uint8_t byte)
{
    switch (byte) {
    case PROTOCOL_UNSPEC:
    case PROTOCOL_TCP4:
    case PROTOCOL_TCP6:
        return NULL;
    case PROTOCOL_UDP4:
    case PROTOCOL_UDP6:
        return "the PROXY header is one for datagrams: only TCP is served";
    case PROTOCOL_UNIX_STREAM:
    case PROTOCOL_UNIX_DATAGRAM:
        return "the PROXY header names a UNIX socket: the policy needs the client's address";
    default:
        return "the PROXY header names an address family or a transport that does not exist";
    }
}

/* The bytes behind the fixed part. */
static size_t header_v2_block_len(const uint8_t *bytes)
{
    return (size_t)bytes[V2_LENGTH_AT] << 8 | bytes[V2_LENGTH_AT + 1];
}

static size_t header_v2_address_size(const uint8_t *bytes)
{
    return bytes[V2_PROTOCOL_AT] == PROTOCOL_TCP4 ? 4 : 16;
}

/* Two addresses and two ports. */
static size_t header_v2_addresses_len(const uint8_t *bytes)
{
    return 2 * header_v2_address_size(bytes) + 4;
}

/* True when nothing of the block is read. */
static bool header_v2_is_bare(const uint8_t *bytes)
{
    return header_v2_command(bytes) == COMMAND_LOCAL || bytes[V2_PROTOCOL_AT] == PROTOCOL_UNSPEC;
}

/* What is wrong with byte `at` of the fixed part, where those before it are good. */
static const char *header_v2_byte_fault(const uint8_t *bytes, size_t at)
{
    if (at < V2_SIGNATURE_SIZE)
        return bytes[at] == V2_SIGNATURE[at] ? NULL : header_foreign_fault(bytes, at);
    if (at == V2_COMMAND_AT)
        return header_v2_command_fault(bytes[at]);
    if (at == V2_PROTOCOL_AT)
        return header_v2_command(bytes) == COMMAND_LOCAL ? NULL : header_v2_protocol_fault(bytes[at]);
    if (at == V2_LENGTH_AT + 1 && !header_v2_is_bare(bytes) && header_v2_block_len(bytes) < header_v2_addresses_len(bytes))
        return "the length in the PROXY header is too short for its addresses";
    return NULL;
}

/* Puts where the value of a CRC32c stands into *crc_at, or leaves it 0. */
static const char *header_v2_tlv_fault(size_t *crc_at, const uint8_t *bytes, size_t at, size_t end)
{
    while (at < end) {
        if (end - at < TLV_HEADER)
            return "the PROXY header ends within a TLV";
        size_t len = (size_t)bytes[at + 1] << 8 | bytes[at + 2];
        if (len > end - at - TLV_HEADER)
            return "a TLV is longer than what is left of the PROXY header";
        if (bytes[at] == TLV_CRC32C) {
            if (len != CRC32C_SIZE || *crc_at)
                return "the PROXY header must hold at most one CRC32c, of four bytes";
            *crc_at = at + TLV_HEADER;
        }
        at += TLV_HEADER + len;
    }
    return NULL;
}

/* The sender counted its own four bytes as zeros. */
static bool header_v2_crc_is_right(const uint8_t *bytes, size_t len, size_t crc_at)
{
    static const uint8_t zeros[CRC32C_SIZE];
    const uint8_t *sent = bytes + crc_at;
    uint32_t crc = crc32c_update(0, bytes, crc_at);
    crc = crc32c_update(crc, zeros, CRC32C_SIZE);
    crc = crc32c_update(crc, sent + CRC32C_SIZE, len - crc_at - CRC32C_SIZE);
    return crc == ((uint32_t)sent[0] << 24 | (uint32_t)sent[1] << 16 | (uint32_t)sent[2] << 8 | sent[3]);
}

static struct endpoint header_v2_source(const uint8_t *bytes)
{
    const uint8_t *block = bytes + V2_FIXED_SIZE;
    size_t size = header_v2_address_size(bytes);
    struct endpoint source = {.ip.family = size == 4 ? FAMILY_V4 : FAMILY_V6};
    memcpy(source.ip.bytes, block, size);
    source.port = (uint16_t)(block[2 * size] << 8 | block[2 * size + 1]);
    return source;
}

/* A whole header of `len` bytes. */
static enum proxy_header_result header_v2_read(struct proxy_header *header, const uint8_t *bytes, size_t len)
{
    size_t crc_at = 0;
    if (header_v2_is_bare(bytes))
        return header_done(header, header_v2_command(bytes) == COMMAND_LOCAL ? PROXY_HEADER_LOCAL : PROXY_HEADER_SELF, len);
    const char *fault = header_v2_tlv_fault(&crc_at, bytes, V2_FIXED_SIZE + header_v2_addresses_len(bytes), len);
    if (fault)
        return header_bad(header, fault);
    if (crc_at && !header_v2_crc_is_right(bytes, len, crc_at))
        return header_bad(header, "the CRC32c of the PROXY header is wrong");
    return header_name_client(header, header_v2_source(bytes), len);
}

static enum proxy_header_result header_v2_feed(struct proxy_header *header, const uint8_t *bytes, size_t len)
{
    for (; header->seen < len && header->seen < V2_FIXED_SIZE; header->seen++) {
        const char *fault = header_v2_byte_fault(bytes, header->seen);
        if (fault)
            return header_bad(header, fault);
    }
    if (header->seen < V2_FIXED_SIZE || len < V2_FIXED_SIZE + header_v2_block_len(bytes))
        return PROXY_HEADER_MORE;
    return header_v2_read(header, bytes, V2_FIXED_SIZE + header_v2_block_len(bytes));
}

enum proxy_header_result proxy_header_feed(struct proxy_header *header, const uint8_t *bytes, size_t len)
{
    if (header->result == PROXY_HEADER_MORE && len > 0)
        header->result = bytes[0] == V2_SIGNATURE[0] ? header_v2_feed(header, bytes, len) : header_v1_feed(header, bytes, len);
    return header->result;
}
