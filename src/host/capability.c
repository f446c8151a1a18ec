/* The capabilities of this process, as the kernel counts them: a bit each. */
#include "host/capability.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/text.h"

#define BITS 64

struct capability_sets {
    uint64_t effective, permitted, inheritable;
};

/* The kernel has each set in two words of 32 bits. */
static bool capability_get(struct capability_sets *sets)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct halves[2] = {{0}};
    if (syscall(SYS_capget, &head, halves) != 0)
        return false;
    sets->effective = (uint64_t)halves[1].effective << 32 | halves[0].effective;
    sets->permitted = (uint64_t)halves[1].permitted << 32 | halves[0].permitted;
    sets->inheritable = (uint64_t)halves[1].inheritable << 32 | halves[0].inheritable;
    return true;
}

static bool capability_set(const struct capability_sets *sets)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct halves[2];
    for (unsigned i = 0; i < 2; i++) {
        halves[i].effective = (uint32_t)(sets->effective >> 32 * i);
        halves[i].permitted = (uint32_t)(sets->permitted >> 32 * i);
        halves[i].inheritable = (uint32_t)(sets->inheritable >> 32 * i);
    }
    return syscall(SYS_capset, &head, halves) == 0;
}

uint64_t capability_permitted(void)
{
    struct capability_sets sets;
    return capability_get(&sets) ? sets.permitted : 0;
}

static int capability_ambient_do(unsigned long what, unsigned long capability)
{
    return prctl(PR_CAP_AMBIENT, what, capability, 0UL, 0UL);
}

uint64_t capability_ambient(void)
{
    uint64_t found = 0;
    for (unsigned long i = 0; i < BITS; i++)
        if (capability_ambient_do(PR_CAP_AMBIENT_IS_SET, i) == 1)
            found |= CAPABILITY_BIT(i);
    return found;
}

bool capability_use(uint64_t effective)
{
    struct capability_sets sets;
    if (!capability_get(&sets))
        return false;
    sets.effective = effective & sets.permitted;
    return capability_set(&sets);
}

/* Without CAP_SETPCAP it stays as it is, and no_new_privs alone keeps an exec from bringing more. */
static void capability_bound(uint64_t kept)
{
    const unsigned long fixed = SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED;
    for (unsigned long i = 0; i < BITS; i++)
        if (!(kept & CAPABILITY_BIT(i)) && prctl(PR_CAPBSET_READ, i, 0UL, 0UL, 0UL) == 1)
            prctl(PR_CAPBSET_DROP, i, 0UL, 0UL, 0UL);
    prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | fixed, 0UL, 0UL, 0UL);
}

bool capability_limit(uint64_t kept, uint64_t effective)
{
    struct capability_sets sets;
    if (!capability_use(CAPABILITY_ALL))
        return false;
    capability_bound(kept);
    if (capability_ambient_do(PR_CAP_AMBIENT_CLEAR_ALL, 0) != 0 || !capability_get(&sets))
        return false;
    sets.permitted &= kept;
    sets.inheritable = 0;
    sets.effective = sets.permitted & effective;
    return capability_set(&sets);
}

bool capability_pass_on(uint64_t capabilities)
{
    struct capability_sets sets;
    if (!capability_get(&sets))
        return false;
    const uint64_t passed = capabilities & sets.permitted;
    sets.inheritable |= passed;
    bool all = passed == 0 || capability_set(&sets);
    for (unsigned long i = 0; i < BITS; i++)
        if (passed & CAPABILITY_BIT(i))
            all = capability_ambient_do(PR_CAP_AMBIENT_RAISE, i) == 0 && all;
    return all;
}

/* No others are ever kept. */
static const struct {
    unsigned capability;
    const char *name;
} NAMES[] = {
    {CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE"},
    {CAP_NET_ADMIN, "CAP_NET_ADMIN"},
    {CAP_NET_RAW, "CAP_NET_RAW"},
};

const char *capability_text(uint64_t capabilities, char buf[CAPABILITY_TEXT_MAX])
{
    struct text text;
    text_init(&text, buf, CAPABILITY_TEXT_MAX);
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        if (capabilities & CAPABILITY_BIT(NAMES[i].capability))
            text_format(&text, "%s%s", text.len > 0 ? ", " : "", NAMES[i].name);
    if (text.len == 0)
        text_format(&text, "%s", capabilities == 0 ? "no capabilities" : "other capabilities");
    return buf;
}
