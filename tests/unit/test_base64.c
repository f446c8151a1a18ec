/* Base64: the vectors of RFC 4648 10, and what is none. */
#include "base/base64.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *const PAIRS[][2] = {
    {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};

Test(base64, writes_and_reads_the_vectors_of_the_rfc)
{
    for (size_t i = 0; i < sizeof(PAIRS) / sizeof(PAIRS[0]); i++) {
        const char *plain = PAIRS[i][0], *coded = PAIRS[i][1];
        const size_t size = strlen(plain);
        char text[16] = "", bytes[16] = "";
        base64_write(text, plain, size);
        cr_expect_str_eq(text, coded);
        cr_expect_eq(strlen(coded), BASE64_LEN(size));
        cr_expect(base64_read(bytes, size, coded, strlen(coded)));
        cr_expect_str_eq(bytes, plain);
    }
}

Test(base64, every_byte_comes_back)
{
    uint8_t all[256], again[256];
    char text[BASE64_LEN(sizeof(all))];
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (uint8_t)(i * 37);
    for (size_t size = 0; size <= sizeof(all); size++) {
        base64_write(text, all, size);
        cr_assert(base64_read(again, size, text, BASE64_LEN(size)));
        cr_assert_arr_eq(again, all, size);
    }
}

/* One text for each bytes: otherwise a signature could be written in several ways. */
Test(base64, reads_nothing_else)
{
    static const char *const BAD[] = {"Zg", "Zg=", "Zg==\n", "Zh==", "Zg=a", "Z===", "====", "Z\xe9==", "Zg--", " Zg=", "Zg==Zg=="};
    uint8_t byte;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        cr_expect_not(base64_read(&byte, 1, BAD[i], strlen(BAD[i])), "%s", BAD[i]);
    cr_expect_not(base64_read(&byte, 1, "Z\0==", 4));
}
