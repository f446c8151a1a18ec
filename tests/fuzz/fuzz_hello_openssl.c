/* The same bytes to our reader of hellos and to OpenSSL's: the two must never find two different names that are both usable. */
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "policy/hostname.h"
#include "wire/client_hello.h"

#define HELLO_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What OpenSSL's server saw in one connection. */
struct seen {
    bool hello;                 /* its reader took a whole ClientHello */
    bool has_name;
    char name[HOSTNAME_SIZE];   /* normal form of a usable one */
};

static void check(bool good)
{
    if (!good)
        abort();
}

/* Called with the parsed message, before anything is negotiated. */
static int seen_hello(SSL *ssl, int *alert, void *arg)
{
    (void)ssl;
    (void)alert;
    ((struct seen *)arg)->hello = true;
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* Called with the name that OpenSSL took, also when the hello held none. */
static int seen_name(SSL *ssl, int *alert, void *arg)
{
    struct seen *seen = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    seen->has_name = name && hostname_read(seen->name, name, strlen(name));
    return SSL_TLSEXT_ERR_OK;
}

static void ask_openssl(struct seen *seen, const uint8_t *bytes, size_t len)
{
    static SSL_CTX *ctx;
    if (!ctx) {
        ctx = SSL_CTX_new(TLS_server_method());
        check(ctx != NULL && SSL_CTX_set_min_proto_version(ctx, SSL3_VERSION));
        SSL_CTX_set_security_level(ctx, 0);
        SSL_CTX_set_client_hello_cb(ctx, seen_hello, NULL);
        SSL_CTX_set_tlsext_servername_callback(ctx, seen_name);
    }
    SSL_CTX_set_client_hello_cb(ctx, seen_hello, seen);
    SSL_CTX_set_tlsext_servername_arg(ctx, seen);
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new_mem_buf(bytes, (int)len), *out = BIO_new(BIO_s_mem());
    check(ssl && in && out);
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl, in, out);
    SSL_accept(ssl);
    SSL_free(ssl);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client_hello hello;
    struct seen seen = {0};
    char name[HOSTNAME_SIZE] = "";
    if (size == 0 || size > HELLO_MAX)
        return 0;
    client_hello_init(&hello, HELLO_MAX, NULL);
    enum hello_result result = client_hello_feed(&hello, data, size);
    bool usable = result == HELLO_DONE && hello.has_sni && hello.sni_len <= HOSTNAME_MAX + 1 &&
                  hostname_read(name, (const char *)hello.sni, hello.sni_len);
    bool nameless = result == HELLO_DONE && !hello.has_sni;
    client_hello_fini(&hello);
    ask_openssl(&seen, data, size);
    if (seen.hello && seen.has_name) {
        check(!nameless);
        check(!usable || strcmp(seen.name, name) == 0);
    }
    return 0;
}
