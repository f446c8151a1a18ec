/* The checksum of RFC 3720, whole and in pieces. */
#include "base/crc32c.h"

#include <criterion/criterion.h>
#include <string.h>

/* RFC 3720 B.4; its table writes the bytes as they are sent, the lowest first. */
Test(crc32c, examples_of_the_rfc)
{
    static const uint8_t read_10[48] = {
        0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
        0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0,    0,
    };
    uint8_t bytes[32] = {0};
    cr_expect_eq(crc32c_update(0, bytes, sizeof(bytes)), 0x8a9136aa, "zeros");
    memset(bytes, 0xff, sizeof(bytes));
    cr_expect_eq(crc32c_update(0, bytes, sizeof(bytes)), 0x62a8ab43, "ones");
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    cr_expect_eq(crc32c_update(0, bytes, sizeof(bytes)), 0x46dd794e, "rising");
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(31 - i);
    cr_expect_eq(crc32c_update(0, bytes, sizeof(bytes)), 0x113fdb5c, "falling");
    cr_expect_eq(crc32c_update(0, read_10, sizeof(read_10)), 0xd9963a56, "an iSCSI SCSI Read (10) command");
}

Test(crc32c, check_value_and_nothing)
{
    cr_expect_eq(crc32c_update(0, "123456789", 9), 0xe3069283, "the check value of the catalogues");
    cr_expect_eq(crc32c_update(0, "", 0), 0);
    cr_expect_eq(crc32c_update(0xe3069283, "", 0), 0xe3069283);
}

Test(crc32c, pieces_are_the_whole)
{
    uint8_t bytes[300];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    uint32_t whole = crc32c_update(0, bytes, sizeof(bytes));
    for (size_t cut = 0; cut <= sizeof(bytes); cut++)
        cr_expect_eq(crc32c_update(crc32c_update(0, bytes, cut), bytes + cut, sizeof(bytes) - cut), whole, "cut at %zu", cut);
}
