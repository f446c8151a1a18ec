/* The JA4 fingerprint of a ClientHello (github.com/FoxIO-LLC/ja4, technical_details/JA4.md). */
#ifndef EXEAT_WIRE_JA4_H
#define EXEAT_WIRE_JA4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JA4_SIZE 37

/* A run of 16-bit numbers in network order; `len` counts bytes and is even. */
struct ja4_list {
    const uint8_t *at;
    size_t len;
};

struct ja4_facts {
    uint16_t version; /* the highest offered */
    bool has_sni;
    struct ja4_list ciphers;
    struct ja4_list extensions; /* the types, in any order */
    struct ja4_list signatures;
    const uint8_t *alpn; /* the first protocol; NULL when there is none */
    size_t alpn_len;
};

/* RFC 8701: 0x0a0a, 0x1a1a … 0xfafa. */
bool ja4_is_grease(unsigned number);

/* Writes the fingerprint; false when memory ran out. */
bool ja4_make(char out[JA4_SIZE], const struct ja4_facts *facts);

#endif
