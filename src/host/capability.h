/* The capabilities of this process, as the kernel counts them: a bit each. */
#ifndef EXEAT_HOST_CAPABILITY_H
#define EXEAT_HOST_CAPABILITY_H

#include <stdbool.h>
#include <stdint.h>

#define CAPABILITY_TEXT_MAX 128

/* A set has the bit of each CAP_… of <linux/capability.h> that is in it. */
#define CAPABILITY_BIT(capability) (UINT64_C(1) << (capability))
#define CAPABILITY_ALL UINT64_MAX

uint64_t capability_permitted(void);
uint64_t capability_ambient(void); /* what an exec lets this process keep */

/* Puts in force those of them that are permitted, and no others. */
bool capability_use(uint64_t effective);

/* Gives up all but `kept`, of which those in `effective` are in force; no exec passes any on by itself, and where this process may see to it, neither
 * uid 0 nor a file's capabilities bring one back. False with errno: nothing can be relied on. */
bool capability_limit(uint64_t kept, uint64_t effective);

/* The next exec keeps those of them that are permitted. False with errno: not all of them. */
bool capability_pass_on(uint64_t capabilities);

/* `CAP_NET_ADMIN, CAP_NET_RAW`, or `no capabilities`; returns `buf`. */
const char *capability_text(uint64_t capabilities, char buf[CAPABILITY_TEXT_MAX]);

#endif
