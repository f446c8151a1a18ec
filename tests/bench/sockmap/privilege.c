/* Privilege: who may make the maps, and who may use them once they are made: a worker in a sandbox has descriptors and no capability. */
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc.h"
#include "study.h"
#include "tunnel.h"

#define BIT(capability) (1ull << (capability))

static const struct power {
    const char *title;
    uint64_t capabilities;
} POWERS[] = {
    {"CAP_BPF and CAP_NET_ADMIN", BIT(CAP_BPF) | BIT(CAP_NET_ADMIN)},
    {"CAP_NET_ADMIN", BIT(CAP_NET_ADMIN)},
    {"CAP_BPF", BIT(CAP_BPF)},
    {"no capability", 0},
};

static void privilege_keep(uint64_t capabilities)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    data[0].effective = data[0].permitted = (uint32_t)capabilities;
    data[1].effective = data[1].permitted = (uint32_t)(capabilities >> 32);
    if (syscall(SYS_capset, &header, data) != 0)
        study_fail("cannot give up capabilities");
}

static const char *privilege_text(int result)
{
    return result == 0 ? "yes" : strerror(-result);
}

static bool privilege_try(const struct sockmap *map, const struct power *power)
{
    struct flow up = {0};
    struct tunnel tunnel;
    struct sockmap own;
    privilege_keep(power->capabilities);
    int makes = sockmap_open(&own, SOCKMAP_VERDICT);
    tunnel_open(&tunnel);
    int joins = sockmap_join(map, tunnel.near, tunnel.far);
    flow_run(&up, tunnel.client, tunnel.origin, 64 * KIB);
    bool counts = up.taken == up.sent && sockmap_count(map, tunnel.near).taken == up.sent;
    int leaves = sockmap_leave(map, tunnel.near);
    study_say(power->title, "makes: %s; joins by maps it was given: %s", privilege_text(makes), privilege_text(joins));
    study_say("  relays and counts; leaves", "%s; %s", counts ? "yes" : "no", privilege_text(leaves));
    return joins == 0 && counts && leaves == 0;
}

/* In a process of its own: what was given up does not come back. */
static bool privilege_try_apart(const struct sockmap *map, const struct power *power)
{
    int status = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        bool works = privilege_try(map, power);
        fflush(stdout);
        _exit(works ? 0 : 1);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        study_fail("a process was lost");
    return status == 0;
}

void study_privilege(void)
{
    struct sockmap map;
    study_say("kernel.unprivileged_bpf_disabled", "%" PRIu64, proc_number("/proc/sys/kernel/unprivileged_bpf_disabled", ""));
    study_open(&map, SOCKMAP_VERDICT);
    for (size_t i = 0; i < sizeof(POWERS) / sizeof(*POWERS); i++)
        study_hold("  descriptors of the maps are enough to use them", privilege_try_apart(&map, &POWERS[i]));
    sockmap_close(&map);
}
