/* The head of a request on a connect listener: bytes in, a CONNECT target out, or why not. */
#include "wire/connect_request.h"

#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "base/number.h"
#include "base/text.h"

#define EMPTY_LINES_MAX 2 /* RFC 9112 2.2 asks for one at least */

static const char FAULT_LINE[] = "the request line must be METHOD TARGET HTTP/1.1";
static const char FAULT_FIELD[] = "a header line must be NAME: VALUE";

/* HOST or HOST:PORT, taken apart. */
struct authority {
    struct span host; /* without brackets */
    bool bracketed;
    uint16_t port; /* 0: none given */
};

void connect_request_init(struct connect_request *request, size_t head_max)
{
    *request = (struct connect_request){.head_max = head_max};
}

static enum request_result request_bad(struct connect_request *request, const char *fault)
{
    request->fault = fault;
    return REQUEST_BAD;
}

static bool request_is_alnum(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

/* RFC 9110 5.6.2 tchar. */
static bool request_is_token_byte(uint8_t byte)
{
    return request_is_alnum(byte) || (byte && strchr("!#$%&'*+-.^_`|~", byte));
}

static bool request_is_token(const uint8_t *bytes, struct span span)
{
    for (uint32_t i = 0; i < span.len; i++) {
        if (!request_is_token_byte(bytes[span.at + i]))
            return false;
    }
    return span.len > 0;
}

static bool request_is(const uint8_t *bytes, struct span span, const char *word)
{
    return span.len == strlen(word) && memcmp(bytes + span.at, word, span.len) == 0;
}

static bool request_is_name(const uint8_t *bytes, struct span span, const char *word)
{
    return span.len == strlen(word) && strncasecmp((const char *)bytes + span.at, word, span.len) == 0;
}

/* Takes what stands before the first `stop` off the front of *from, and the stop with it; false when there is none. */
static bool request_cut(struct span *out, struct span *from, const uint8_t *bytes, uint8_t stop)
{
    const uint8_t *start = bytes + from->at;
    const uint8_t *found = memchr(start, stop, from->len);
    if (!found)
        return false;
    *out = (struct span){from->at, (uint32_t)(found - start)};
    from->at += out->len + 1;
    from->len -= out->len + 1;
    return true;
}

/* The first byte of a connection is enough to know what is certainly no request line. */
static enum request_result request_first_byte(struct connect_request *request, const uint8_t *bytes, size_t at)
{
    if (bytes[at] == 0x16)
        return request_bad(request, "this is TLS: the proxy URL must start with http://");
    if (bytes[at] == 0x04)
        return request_bad(request, "this is SOCKS4: the proxy URL must start with http://");
    if (bytes[at] == 0x05)
        return request_bad(request, "this is SOCKS5: the proxy URL must start with http://");
    if (bytes[at] == 0 && at == 2 * EMPTY_LINES_MAX) /* version 2 starts with CRLF CRLF NUL */
        return request_bad(request, "this is a PROXY header, which this listener does not take");
    if (!request_is_token_byte(bytes[at]))
        return request_bad(request, "this is not HTTP");
    return REQUEST_MORE;
}

/* One byte inside a line: only what can never become right ends the parsing here, the rest waits for the line to be whole. */
static enum request_result request_byte(struct connect_request *request, const uint8_t *bytes, size_t at)
{
    uint8_t byte = bytes[at];
    bool first_line = request->method.len == 0;
    if (byte == '\n')
        return request_bad(request, "a line must end in CRLF, not in LF alone");
    if (byte == '\r')
        return REQUEST_MORE;
    if (first_line && at == request->line_at)
        return request_first_byte(request, bytes, at);
    if (first_line && (byte < 0x20 || byte > 0x7e))
        return request_bad(request, "the request line holds a byte that is not printable ASCII");
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
        return request_bad(request, "a header line holds a control byte");
    return REQUEST_MORE;
}

static bool request_is_address_byte(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'F') || (byte >= 'a' && byte <= 'f') || byte == ':' || byte == '.';
}

static bool request_is_address(const uint8_t *bytes, struct span span)
{
    for (uint32_t i = 0; i < span.len; i++) {
        if (!request_is_address_byte(bytes[span.at + i]))
            return false;
    }
    return span.len > 0;
}

/* Only what a name, an IPv4 address or a mistyped one is written with: what the host means is the policy's to say. */
static const char *request_check_host(const uint8_t *bytes, struct span host)
{
    if (host.len == 0)
        return "the host is empty";
    for (uint32_t i = 0; i < host.len; i++) {
        uint8_t byte = bytes[host.at + i];
        if (!request_is_alnum(byte) && byte != '-' && byte != '.' && byte != '_')
            return "the host holds a byte that no host name has";
    }
    return NULL;
}

static const char *request_read_port(struct authority *out, const uint8_t *bytes, struct span port)
{
    uint64_t number;
    if (!number_read(&number, (const char *)bytes + port.at, port.len, UINT16_MAX) || number == 0)
        return "the port must be a plain number from 1 to 65535";
    out->port = (uint16_t)number;
    return NULL;
}

static const char *request_read_bracketed(struct authority *out, const uint8_t *bytes, struct span from)
{
    struct span rest = {from.at + 1, from.len - 1};
    out->bracketed = true;
    if (!request_cut(&out->host, &rest, bytes, ']') || !request_is_address(bytes, out->host))
        return "brackets must stand around an IPv6 address, as in [2001:db8::1]:443";
    if (rest.len == 0)
        return NULL;
    if (bytes[rest.at] != ':')
        return "only a colon and the port may follow the brackets";
    return request_read_port(out, bytes, (struct span){rest.at + 1, rest.len - 1});
}

/* Takes HOST, HOST:PORT or [ADDRESS]:PORT apart; returns the fault, or NULL. */
static const char *request_read_authority(struct authority *out, const uint8_t *bytes, struct span from)
{
    struct span rest = from;
    *out = (struct authority){.host = from};
    if (from.len > 0 && bytes[from.at] == '[')
        return request_read_bracketed(out, bytes, from);
    if (!request_cut(&out->host, &rest, bytes, ':'))
        return request_check_host(bytes, from);
    if (memchr(bytes + rest.at, ':', rest.len) && request_is_address(bytes, from))
        return "an IPv6 address must stand in brackets, as in [2001:db8::1]:443";
    const char *fault = request_check_host(bytes, out->host);
    return fault ? fault : request_read_port(out, bytes, rest);
}

static enum request_result request_read_target(struct connect_request *request, const uint8_t *bytes)
{
    struct authority authority;
    const uint8_t *target = bytes + request->target.at;
    if (memchr(target, '/', request->target.len))
        return request_bad(request, "CONNECT takes HOST:PORT, not a URL");
    if (memchr(target, '@', request->target.len))
        return request_bad(request, "CONNECT takes HOST:PORT, without a user name");
    const char *fault = request_read_authority(&authority, bytes, request->target);
    if (fault)
        return request_bad(request, fault);
    if (authority.port == 0)
        return request_bad(request, "the port is missing: CONNECT takes HOST:PORT");
    request->host = authority.host;
    request->bracketed = authority.bracketed;
    request->port = authority.port;
    return REQUEST_MORE;
}

/* Origin form, `*`, or absolute form as far as the colon of its scheme. */
static bool request_is_other_target(const uint8_t *bytes, struct span target)
{
    struct span scheme;
    if (target.len > 0 && bytes[target.at] == '/')
        return true;
    return request_is(bytes, target, "*") || (request_cut(&scheme, &target, bytes, ':') && request_is_token(bytes, scheme));
}

static enum request_result request_bad_version(struct connect_request *request, const uint8_t *bytes, struct span method, struct span version)
{
    if (request_is(bytes, method, "PROXY"))
        return request_bad(request, "this is a PROXY header, which this listener does not take");
    if (request_is(bytes, method, "PRI") && request_is(bytes, version, "HTTP/2.0"))
        return request_bad(request, "this is HTTP/2: only HTTP/1.1 and HTTP/1.0 are served");
    if (version.len == 8 && memcmp(bytes + version.at, "HTTP/", 5) == 0)
        return request_bad(request, "only HTTP/1.1 and HTTP/1.0 are served");
    return request_bad(request, FAULT_LINE);
}

static enum request_result request_read_line(struct connect_request *request, const uint8_t *bytes, struct span line)
{
    struct span method, target = {0}, version = line;
    if (!request_cut(&method, &version, bytes, ' '))
        return request_bad(request, "this is not HTTP");
    bool whole = request_cut(&target, &version, bytes, ' ');
    if (!whole || version.len != 8 || memcmp(bytes + version.at, "HTTP/1.", 7) != 0)
        return request_bad_version(request, bytes, method, version);
    uint8_t minor = bytes[version.at + 7];
    if (minor < '0' || minor > '9' || target.len == 0 || !request_is_token(bytes, method))
        return request_bad(request, FAULT_LINE);
    request->method = method;
    request->target = target;
    request->minor = (unsigned)(minor - '0');
    if (request_is(bytes, method, "CONNECT"))
        return request_read_target(request, bytes);
    return request_is_other_target(bytes, target) ? REQUEST_MORE : request_bad(request, FAULT_LINE);
}

/* It must be well-formed, and decides nothing: RFC 9112 3.2.2 has a proxy go by the target, and Node's http.request sends the name of the
 * proxy itself here. */
static enum request_result request_read_host(struct connect_request *request, const uint8_t *bytes, struct span value)
{
    struct authority authority;
    if (request->has_host)
        return request_bad(request, "more than one Host header");
    request->has_host = true;
    request->host_header = value;
    if (request_read_authority(&authority, bytes, value))
        return request_bad(request, "the Host header must be HOST or HOST:PORT");
    return REQUEST_MORE;
}

/* Reads as far as the colon and no further, so that no password is ever decoded. What holds no colon may be a secret as a whole: nothing is kept. */
static void request_read_user(struct connect_request *request, const uint8_t *bytes, struct span value)
{
    static const char scheme[] = "Basic ";
    const uint8_t *at = bytes + value.at, *end = at + value.len;
    char user[sizeof(request->user)];
    size_t len = 0;
    unsigned bits = 0, count = 0;
    if (value.len < sizeof(scheme) || strncasecmp((const char *)at, scheme, sizeof(scheme) - 1) != 0)
        return;
    for (at += sizeof(scheme) - 1; at < end && *at == ' '; at++)
        ;
    for (; at < end && base64_digit((char)*at) >= 0; at++) {
        bits = (bits << 6 | (unsigned)base64_digit((char)*at)) & 0xffff;
        count += 6;
        if (count < 8)
            continue;
        count -= 8;
        char byte = (char)(bits >> count);
        if (byte == ':') {
            memcpy(request->user, user, len);
            request->user_len = len;
            return;
        }
        if (len < sizeof(user))
            user[len++] = byte;
    }
}

static enum request_result request_read_field(struct connect_request *request, const uint8_t *bytes, struct span name, struct span value)
{
    if (request_is_name(bytes, name, "Host"))
        return request_read_host(request, bytes, value);
    if (request_is_name(bytes, name, "User-Agent") && request->user_agent.len == 0)
        request->user_agent = value;
    else if (request_is_name(bytes, name, "Proxy-Authorization"))
        request_read_user(request, bytes, value);
    if (!request_is(bytes, request->method, "CONNECT"))
        return REQUEST_MORE;
    if (request_is_name(bytes, name, "Transfer-Encoding"))
        return request_bad(request, "CONNECT has no body: Transfer-Encoding has no place in it");
    if (request_is_name(bytes, name, "Content-Length") && !request_is(bytes, value, "0"))
        return request_bad(request, "CONNECT has no body: Content-Length must be 0");
    return REQUEST_MORE;
}

static enum request_result request_read_header(struct connect_request *request, const uint8_t *bytes, struct span line)
{
    struct span name, value = line;
    if (bytes[line.at] == ' ' || bytes[line.at] == '\t')
        return request_bad(request, "a header line must not start with a blank (obsolete folding)");
    if (!request_cut(&name, &value, bytes, ':') || !request_is_token(bytes, name))
        return request_bad(request, FAULT_FIELD);
    while (value.len > 0 && (bytes[value.at] == ' ' || bytes[value.at] == '\t')) {
        value.at++;
        value.len--;
    }
    while (value.len > 0 && (bytes[value.at + value.len - 1] == ' ' || bytes[value.at + value.len - 1] == '\t'))
        value.len--;
    return request_read_field(request, bytes, name, value);
}

static enum request_result request_finish(struct connect_request *request, const uint8_t *bytes, size_t head_len)
{
    request->head_len = head_len;
    if (request_is(bytes, request->method, "CONNECT"))
        return REQUEST_CONNECT;
    if (!request->has_host || !request_is(bytes, request->method, "GET") || !request_is(bytes, request->target, "/denials"))
        return REQUEST_METHOD;
    request->host = request->host_header;
    return REQUEST_DENIALS;
}

/* A whole line: `at` is its LF. */
static enum request_result request_end_line(struct connect_request *request, const uint8_t *bytes, size_t at)
{
    struct span line = {(uint32_t)request->line_at, (uint32_t)(at - 1 - request->line_at)};
    request->line_at = at + 1;
    if (request->method.len > 0)
        return line.len > 0 ? request_read_header(request, bytes, line) : request_finish(request, bytes, at + 1);
    if (line.len > 0)
        return request_read_line(request, bytes, line);
    return line.at < 2 * EMPTY_LINES_MAX ? REQUEST_MORE : request_bad(request, "too many empty lines before the request line");
}

static enum request_result request_step(struct connect_request *request, const uint8_t *bytes, size_t at)
{
    if (at == request->line_at || bytes[at - 1] != '\r')
        return request_byte(request, bytes, at);
    return bytes[at] == '\n' ? request_end_line(request, bytes, at) : request_bad(request, "a CR must be followed by LF");
}

/* Inside a line nothing is wrong with what is printable: the line is looked at when it is whole. */
static size_t request_plain(const struct connect_request *request, const uint8_t *bytes, size_t end)
{
    const size_t at = request->scanned;
    return at > request->line_at && bytes[at - 1] != '\r' ? text_json_plain(bytes + at, end - at) : 0;
}

enum request_result connect_request_feed(struct connect_request *request, const uint8_t *bytes, size_t len)
{
    const size_t end = len < request->head_max ? len : request->head_max;
    while ((request->scanned += request_plain(request, bytes, end)) < end) {
        enum request_result result = request_step(request, bytes, request->scanned++);
        if (result != REQUEST_MORE)
            return result;
    }
    return request->scanned < request->head_max ? REQUEST_MORE : REQUEST_TOO_LARGE;
}
