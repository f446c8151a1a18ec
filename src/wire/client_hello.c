/* The first flight of a TLS client: bytes in, server name and fingerprint out. */
#include "wire/client_hello.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "wire/ja4.h"
#include "wire/ja4_cache.h"

#define RECORD_HEADER 5
#define RECORD_MAX 16384 /* RFC 8446 5.1 */
#define CONTENT_HANDSHAKE 22
#define MESSAGE_HEADER 4
#define MESSAGE_CLIENT_HELLO 1
#define RANDOM_SIZE 32
#define SESSION_ID_MAX 32

enum extension {
    EXTENSION_SERVER_NAME = 0,
    EXTENSION_SIGNATURE_ALGORITHMS = 13,
    EXTENSION_ALPN = 16,
    EXTENSION_PRE_SHARED_KEY = 41,
    EXTENSION_SUPPORTED_VERSIONS = 43,
    EXTENSION_ENCRYPTED_CLIENT_HELLO = 0xfe0d,
    EXTENSION_ECH_DRAFT_8 = 0xfe08, /* and up to 0xfe0a: drafts before the number was settled */
    EXTENSION_ECH_DRAFT_10 = 0xfe0a,
    EXTENSION_ENCRYPTED_SERVER_NAME = 0xffce, /* what became ECH */
};

_Static_assert(HELLO_JA4_SIZE == JA4_SIZE, "the two headers disagree about the size of a fingerprint");

/* What of the message is still to be read. */
struct hello_bytes {
    const uint8_t *at;
    size_t len;
};

void client_hello_init(struct client_hello *hello, size_t hello_max, struct ja4_cache *fingerprints)
{
    *hello = (struct client_hello){.hello_max = hello_max, .fingerprints = fingerprints};
}

void client_hello_fini(struct client_hello *hello)
{
    free(hello->message);
    hello->message = NULL;
}

static enum hello_result hello_malformed(struct client_hello *hello, const char *fault)
{
    hello->has_sni = false;
    hello->fault = fault;
    return HELLO_MALFORMED;
}

/* Reads the next record header as far as it is there; a whole one sets record_left. */
static enum hello_result hello_walk_header(struct client_hello *hello, const uint8_t *bytes, size_t end)
{
    const uint8_t *header = bytes + hello->at;
    size_t len = end - hello->at;
    bool is_handshake = (len < 1 || header[0] == CONTENT_HANDSHAKE) && (len < 2 || header[1] == 3);
    if (!is_handshake && hello->records == 0)
        return HELLO_NOT_TLS;
    if (!is_handshake)
        return hello_malformed(hello, "another record stands inside the ClientHello");
    if (len < RECORD_HEADER)
        return HELLO_MORE;
    size_t record_len = (size_t)header[3] << 8 | header[4];
    if (record_len == 0 || record_len > RECORD_MAX)
        return hello_malformed(hello, "a record has a length that is not allowed");
    hello->at += RECORD_HEADER;
    hello->record_left = record_len;
    hello->records++;
    return HELLO_MORE;
}

static bool hello_number(unsigned *out, struct hello_bytes *from, unsigned size)
{
    if (from->len < size)
        return false;
    *out = 0;
    for (unsigned i = 0; i < size; i++)
        *out = *out << 8 | from->at[i];
    from->at += size;
    from->len -= size;
    return true;
}

static bool hello_take(struct hello_bytes *out, struct hello_bytes *from, size_t len)
{
    if (from->len < len)
        return false;
    *out = (struct hello_bytes){from->at, len};
    from->at += len;
    from->len -= len;
    return true;
}

/* A vector of the presentation language: a length of `size` bytes, then so many bytes. */
static bool hello_vector(struct hello_bytes *out, struct hello_bytes *from, unsigned size)
{
    unsigned len;
    return hello_number(&len, from, size) && hello_take(out, from, len);
}

/* A vector that is the whole of `from` and holds 16-bit numbers, one at least. */
static bool hello_numbers(struct ja4_list *out, struct hello_bytes from, unsigned size)
{
    struct hello_bytes list;
    if (!hello_vector(&list, &from, size) || from.len > 0 || list.len == 0 || list.len % 2 != 0)
        return false;
    *out = (struct ja4_list){list.at, list.len};
    return true;
}

static const char *hello_read_server_name(struct client_hello *hello, struct hello_bytes body)
{
    struct hello_bytes list, name;
    unsigned type;
    if (!hello_vector(&list, &body, 2) || body.len > 0 || !hello_number(&type, &list, 1) || type != 0 || !hello_vector(&name, &list, 2) ||
        list.len > 0 || name.len == 0)
        return "server_name does not hold exactly one name";
    hello->has_sni = true;
    hello->sni_len = (uint16_t)name.len;
    memcpy(hello->sni, name.at, name.len < HELLO_SNI_MAX ? name.len : HELLO_SNI_MAX);
    return NULL;
}

static const char *hello_read_alpn(struct client_hello *hello, struct ja4_facts *facts, struct hello_bytes body)
{
    struct hello_bytes list, name;
    if (!hello_vector(&list, &body, 2) || body.len > 0 || list.len == 0)
        return "application_layer_protocol_negotiation is malformed";
    while (list.len > 0) {
        if (!hello_vector(&name, &list, 1) || name.len == 0)
            return "application_layer_protocol_negotiation is malformed";
        if (hello->alpn_count == 0) {
            facts->alpn = name.at;
            facts->alpn_len = name.len;
        }
        if (hello->alpn_count < HELLO_ALPN_MAX) {
            uint8_t *kept = hello->alpn[hello->alpn_count].bytes;
            size_t room = sizeof(hello->alpn[0].bytes);
            hello->alpn[hello->alpn_count].len = (uint8_t)(name.len < room ? name.len : room);
            memcpy(kept, name.at, name.len < room ? name.len : room);
        }
        hello->alpn_count++;
    }
    return NULL;
}

static const char *hello_read_versions(struct client_hello *hello, struct hello_bytes body)
{
    struct ja4_list list;
    uint16_t highest = 0;
    if (!hello_numbers(&list, body, 1))
        return "supported_versions is malformed";
    for (size_t i = 0; i < list.len; i += 2) {
        uint16_t version = (uint16_t)(list.at[i] << 8 | list.at[i + 1]);
        if (!ja4_is_grease(version) && version > highest)
            highest = version;
    }
    if (highest > 0)
        hello->version = highest;
    return NULL;
}

static bool hello_is_encrypted_name(unsigned type)
{
    return type == EXTENSION_ENCRYPTED_CLIENT_HELLO || (type >= EXTENSION_ECH_DRAFT_8 && type <= EXTENSION_ECH_DRAFT_10) ||
           type == EXTENSION_ENCRYPTED_SERVER_NAME;
}

static const char *hello_read_extension(struct client_hello *hello, struct ja4_facts *facts, unsigned type, struct hello_bytes body)
{
    switch (type) {
    case EXTENSION_SERVER_NAME:
        return hello_read_server_name(hello, body);
    case EXTENSION_ALPN:
        return hello_read_alpn(hello, facts, body);
    case EXTENSION_SUPPORTED_VERSIONS:
        return hello_read_versions(hello, body);
    case EXTENSION_SIGNATURE_ALGORITHMS:
        return hello_numbers(&facts->signatures, body, 2) ? NULL : "signature_algorithms is malformed";
    default:
        hello->has_ech = hello->has_ech || hello_is_encrypted_name(type);
        return NULL;
    }
}

/* Reads the block and puts the types into `types`, which has room for one per four bytes of the block. */
static const char *hello_read_extensions(struct client_hello *hello, struct ja4_facts *facts, struct hello_bytes block, uint8_t *types)
{
    uint8_t seen[65536 / 8] = {0};
    facts->extensions.at = types;
    while (block.len > 0) {
        struct hello_bytes body;
        unsigned type;
        if (!hello_number(&type, &block, 2) || !hello_vector(&body, &block, 2))
            return "an extension is longer than what is left";
        if (seen[type / 8] & 1u << type % 8)
            return "an extension is sent twice";
        seen[type / 8] |= (uint8_t)(1u << type % 8);
        if (type == EXTENSION_PRE_SHARED_KEY && block.len > 0)
            return "pre_shared_key is not the last extension";
        const char *fault = hello_read_extension(hello, facts, type, body);
        if (fault)
            return fault;
        types[facts->extensions.len++] = (uint8_t)(type >> 8);
        types[facts->extensions.len++] = (uint8_t)type;
    }
    return NULL;
}

/* Reads all but the extensions, whose block goes to *extensions: RFC 8446 4.1.2. Old clients send no block at all. */
static const char *hello_read_fields(struct client_hello *hello, struct ja4_facts *facts, struct hello_bytes body, struct hello_bytes *extensions)
{
    struct hello_bytes skipped, ciphers;
    unsigned version;
    if (!hello_number(&version, &body, 2) || version >> 8 != 3)
        return "legacy_version is not one of TLS";
    hello->version = (uint16_t)version;
    if (!hello_take(&skipped, &body, RANDOM_SIZE))
        return "the message is too short";
    if (!hello_vector(&skipped, &body, 1) || skipped.len > SESSION_ID_MAX)
        return "legacy_session_id is malformed";
    if (!hello_vector(&ciphers, &body, 2) || ciphers.len == 0 || ciphers.len % 2 != 0)
        return "cipher_suites is malformed";
    facts->ciphers = (struct ja4_list){ciphers.at, ciphers.len};
    if (!hello_vector(&skipped, &body, 1) || skipped.len == 0)
        return "legacy_compression_methods is malformed";
    if (body.len > 0 && (!hello_vector(extensions, &body, 2) || body.len > 0))
        return "the extensions do not end where the message ends";
    return NULL;
}

static enum hello_result hello_read_message(struct client_hello *hello, struct hello_bytes body)
{
    struct ja4_facts facts = {0};
    struct hello_bytes extensions = {0};
    const char *fault = hello_read_fields(hello, &facts, body, &extensions);
    if (fault)
        return hello_malformed(hello, fault);
    uint8_t *types = malloc(extensions.len / 2 + 1);
    if (!types)
        return HELLO_NO_MEMORY;
    fault = hello_read_extensions(hello, &facts, extensions, types);
    facts.version = hello->version;
    facts.has_sni = hello->has_sni;
    bool has_ja4 = fault || ja4_cache_make(hello->fingerprints, hello->ja4, &facts);
    free(types);
    if (fault)
        return hello_malformed(hello, fault);
    return has_ja4 ? HELLO_DONE : HELLO_NO_MEMORY;
}

/* Puts the message together from the records, which were walked already and hold at least `total` bytes. */
static bool hello_join(struct client_hello *hello, const uint8_t *bytes, size_t total)
{
    size_t joined = 0;
    hello->message = malloc(total);
    if (!hello->message)
        return false;
    while (joined < total) {
        size_t len = (size_t)bytes[3] << 8 | bytes[4];
        size_t wanted = len < total - joined ? len : total - joined;
        memcpy(hello->message + joined, bytes + RECORD_HEADER, wanted);
        joined += wanted;
        bytes += RECORD_HEADER + len;
    }
    return true;
}

static enum hello_result hello_finish(struct client_hello *hello, const uint8_t *bytes, size_t message_len)
{
    const uint8_t *message = bytes + RECORD_HEADER;
    if (hello->records > 1) {
        if (!hello_join(hello, bytes, message_len))
            return HELLO_NO_MEMORY;
        message = hello->message;
    }
    return hello_read_message(hello, (struct hello_bytes){message + MESSAGE_HEADER, message_len - MESSAGE_HEADER});
}

/* Walks what is there of the current record; the first bytes tell early what the message is and how long it says it is. */
static enum hello_result hello_walk_payload(struct client_hello *hello, const uint8_t *bytes, size_t end)
{
    size_t len = end - hello->at < hello->record_left ? end - hello->at : hello->record_left;
    for (size_t i = 0; i < len && hello->message_len + i < MESSAGE_HEADER; i++)
        hello->head[hello->message_len + i] = bytes[hello->at + i];
    hello->at += len;
    hello->record_left -= len;
    hello->message_len += len;
    if (hello->message_len > 0 && hello->head[0] != MESSAGE_CLIENT_HELLO)
        return hello_malformed(hello, "the first message is no ClientHello");
    if (hello->message_len < MESSAGE_HEADER)
        return HELLO_MORE;
    size_t announced = (size_t)hello->head[1] << 16 | (size_t)hello->head[2] << 8 | hello->head[3];
    if (announced > hello->hello_max)
        return HELLO_TOO_LARGE;
    return hello->message_len < MESSAGE_HEADER + announced ? HELLO_MORE : hello_finish(hello, bytes, MESSAGE_HEADER + announced);
}

enum hello_result client_hello_feed(struct client_hello *hello, const uint8_t *bytes, size_t len)
{
    size_t end = len < hello->hello_max ? len : hello->hello_max;
    while (hello->at < end) {
        bool in_header = hello->record_left == 0;
        enum hello_result result = in_header ? hello_walk_header(hello, bytes, end) : hello_walk_payload(hello, bytes, end);
        if (result != HELLO_MORE)
            return result;
        if (in_header && hello->record_left == 0)
            break; /* the header is not whole */
    }
    return end < hello->hello_max ? HELLO_MORE : HELLO_TOO_LARGE;
}

const char *client_hello_version_text(uint16_t version, char buf[8])
{
    static const char *const names[] = {"SSL 3.0", "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"};
    struct text text;
    if (version >= 0x0300 && version <= 0x0304)
        return names[version - 0x0300];
    text_init(&text, buf, 8);
    text_format(&text, "0x%04x", (unsigned)version);
    return buf;
}
