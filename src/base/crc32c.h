/* CRC32c (Castagnoli, RFC 3720 12.1), of bytes at once or piece by piece. */
#ifndef EXEAT_BASE_CRC32C_H
#define EXEAT_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of all that came before and of these bytes, when `crc` is that of all that came before: 0 at first. */
uint32_t crc32c_update(uint32_t crc, const void *bytes, size_t len);

#endif
