/* Which system calls a process may still make, by seccomp: one table. */
#include "host/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* clang-format off */
#define ANY {{0, _SCMP_CMP_MIN, 0, 0}}
#define ONLY(...) {__VA_ARGS__}
#define IS(argument, value) {argument, SCMP_CMP_EQ, value, 0}
#define HAS(argument, mask, value) {argument, SCMP_CMP_MASKED_EQ, mask, value}
#define SOCK_TYPE 0xf      /* the rest are flags */
#define OWN_PID UINT64_MAX /* in IS(): this process's */

/* Another row of the same call is another way to be allowed. What every byte calls has no condition: such answers the kernel keeps, and does not run
 * the filter. */
static const struct syscalls_row {
    int number; /* below 0: not on this architecture */
    enum syscalls_who who;
    struct scmp_arg_cmp only[2]; /* all of them */
} ALLOWED[] = {
    /* memory: never both written to and executed */
    {SCMP_SYS(brk), SYSCALLS_BOTH, ANY},                                             /* malloc */
    {SCMP_SYS(mmap), SYSCALLS_BOTH, ONLY(HAS(2, PROT_EXEC, 0))},                     /* malloc, threads, a bundle */
    {SCMP_SYS(mprotect), SYSCALLS_BOTH, ONLY(HAS(2, PROT_EXEC, 0))},                 /* malloc, a thread's guard page */
    {SCMP_SYS(mremap), SYSCALLS_BOTH, ANY},                                          /* realloc */
    {SCMP_SYS(munmap), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(madvise), SYSCALLS_BOTH, ANY},                                         /* memory given back */

    /* threads: a process is never made. clone3 hides its flags, so that glibc is told to use clone */
    {SCMP_SYS(clone), SYSCALLS_BOTH, ONLY(HAS(0, CLONE_THREAD, CLONE_THREAD))},
    {SCMP_SYS(exit), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(exit_group), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(futex), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(rseq), SYSCALLS_BOTH, ANY},                                            /* glibc, in each thread */
    {SCMP_SYS(set_robust_list), SYSCALLS_BOTH, ANY},                                 /* the same */
    {SCMP_SYS(sched_getaffinity), SYSCALLS_BOTH, ANY},                               /* malloc counts processors */
    {SCMP_SYS(sched_yield), SYSCALLS_BOTH, ANY},                                     /* malloc, OpenSSL */
    {SCMP_SYS(gettid), SYSCALLS_BOTH, ANY},                                          /* abort */
    {SCMP_SYS(getpid), SYSCALLS_BOTH, ANY},                                          /* abort */
    {SCMP_SYS(tgkill), SYSCALLS_BOTH, ONLY(IS(0, OWN_PID))},                         /* abort: nobody else's death */
    {SCMP_SYS(rt_sigaction), SYSCALLS_BOTH, ANY},                                    /* abort */
    {SCMP_SYS(rt_sigprocmask), SYSCALLS_BOTH, ANY},                                  /* pthread_create */
    {SCMP_SYS(rt_sigreturn), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(restart_syscall), SYSCALLS_BOTH, ANY},                                 /* after SIGSTOP and SIGCONT */

    /* time, chance, and who one is */
    {SCMP_SYS(clock_gettime), SYSCALLS_BOTH, ANY},                                   /* where the vDSO cannot */
    {SCMP_SYS(gettimeofday), SYSCALLS_BOTH, ANY},                                    /* the same: libevent, c-ares */
    {SCMP_SYS(clock_nanosleep), SYSCALLS_BOTH, ANY},                                 /* the wait for the file's lock */
    {SCMP_SYS(getrandom), SYSCALLS_BOTH, ANY},                                       /* ids, ports, malloc */
    {SCMP_SYS(geteuid), SYSCALLS_BOTH, ANY},                                         /* OpenSSL and libevent: is the environment to be trusted */
    {SCMP_SYS(getuid), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(getegid), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(getgid), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(prlimit64), SYSCALLS_BOTH, ONLY(IS(2, 0))},                            /* asked, never set: how many descriptors, how large a stack */
    {SCMP_SYS(sysinfo), SYSCALLS_BOTH, ANY},                                         /* qsort: how much memory */
    {SCMP_SYS(uname), SYSCALLS_SERVER, ANY},                                         /* the host's name, in a configuration without one */

    /* descriptors, those of messages among them */
    {SCMP_SYS(read), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(write), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(pread64), SYSCALLS_BOTH, ANY},                                         /* a bundle; the end of a file */
    {SCMP_SYS(close), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(fcntl), SYSCALLS_BOTH, ONLY(IS(1, F_GETFD))},
    {SCMP_SYS(fcntl), SYSCALLS_BOTH, ONLY(IS(1, F_SETFD))},                          /* close-on-exec, where open and socket cannot */
    {SCMP_SYS(fcntl), SYSCALLS_BOTH, ONLY(IS(1, F_GETFL))},
    {SCMP_SYS(fcntl), SYSCALLS_BOTH, ONLY(IS(1, F_SETFL))},                          /* O_NONBLOCK */
    {SCMP_SYS(fcntl), SYSCALLS_SERVER, ONLY(IS(1, F_SETPIPE_SZ))},                   /* the relay's pipes */
    {SCMP_SYS(lseek), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(memfd_create), SYSCALLS_SERVER, ANY},                                  /* what became of the rules, for the next server */
    {SCMP_SYS(getpriority), SYSCALLS_SERVER, ANY},                                   /* a configuration is read behind all who serve */
    {SCMP_SYS(sched_setattr), SYSCALLS_SERVER, ONLY(IS(0, 0))},
    {SCMP_SYS(setpriority), SYSCALLS_SERVER, ONLY(IS(0, PRIO_PROCESS))},
    {SCMP_SYS(fstat), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(newfstatat), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(poll), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(ppoll), SYSCALLS_BOTH, ANY},                                           /* poll, where there is no other */
    {SCMP_SYS(recvfrom), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(recvmsg), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(sendmsg), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(sendto), SYSCALLS_BOTH, ANY},

    /* the journal's file: where it may be, Landlock says */
    {SCMP_SYS(openat), SYSCALLS_JOURNAL, ANY},
    {SCMP_SYS(pwrite64), SYSCALLS_JOURNAL, ANY},                                     /* FILE.head */
    {SCMP_SYS(ftruncate), SYSCALLS_JOURNAL, ANY},                                    /* a torn line */
    {SCMP_SYS(fsync), SYSCALLS_JOURNAL, ANY},                                        /* its name in its directory */
    {SCMP_SYS(fdatasync), SYSCALLS_JOURNAL, ANY},
    {SCMP_SYS(fchmod), SYSCALLS_JOURNAL, ANY},                                       /* of a new one, whatever the umask */
    {SCMP_SYS(flock), SYSCALLS_JOURNAL, ANY},
    {SCMP_SYS(fstatfs), SYSCALLS_JOURNAL, ANY},                                      /* how much space there is */
    {SCMP_SYS(getdents64), SYSCALLS_JOURNAL, ANY},                                   /* which file a renamed one has become */

    /* the server's only files: resolv.conf, /dev/null, /dev/urandom */
    {SCMP_SYS(openat), SYSCALLS_SERVER, ONLY(HAS(2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY))},

    /* sockets: no listener is made */
    {SCMP_SYS(socket), SYSCALLS_SERVER, ONLY(IS(0, AF_INET), HAS(1, SOCK_TYPE, SOCK_STREAM))},
    {SCMP_SYS(socket), SYSCALLS_SERVER, ONLY(IS(0, AF_INET), HAS(1, SOCK_TYPE, SOCK_DGRAM))},
    {SCMP_SYS(socket), SYSCALLS_SERVER, ONLY(IS(0, AF_INET6), HAS(1, SOCK_TYPE, SOCK_STREAM))},
    {SCMP_SYS(socket), SYSCALLS_SERVER, ONLY(IS(0, AF_INET6), HAS(1, SOCK_TYPE, SOCK_DGRAM))},
    {SCMP_SYS(socket), SYSCALLS_SERVER, ONLY(IS(0, AF_NETLINK), IS(2, NETLINK_ROUTE))}, /* which addresses this host has */
    {SCMP_SYS(accept4), SYSCALLS_SERVER, ANY},
    {SCMP_SYS(bind), SYSCALLS_SERVER, ANY},                                          /* a route's source */
    {SCMP_SYS(connect), SYSCALLS_SERVER, ANY},
    {SCMP_SYS(getpeername), SYSCALLS_SERVER, ANY},
    {SCMP_SYS(getsockname), SYSCALLS_SERVER, ANY},
    {SCMP_SYS(getsockopt), SYSCALLS_SERVER, ANY},
    {SCMP_SYS(setsockopt), SYSCALLS_SERVER, ANY},
    {SCMP_SYS(shutdown), SYSCALLS_BOTH, ANY},                                        /* also of a journal that hands over */
    {SCMP_SYS(readv), SYSCALLS_SERVER, ANY},                                         /* libevent's buffers */
    {SCMP_SYS(writev), SYSCALLS_SERVER, ANY},                                        /* the same, c-ares over TCP */
    {SCMP_SYS(ioctl), SYSCALLS_SERVER, ONLY(IS(1, FIONREAD))},                       /* libevent: how much waits to be read */
    {SCMP_SYS(ioctl), SYSCALLS_SERVER, ONLY(IS(1, SIOCGIFFLAGS))},                   /* whether a route's interface is up */
    {SCMP_SYS(pipe2), SYSCALLS_SERVER, ANY},                                         /* the relay */
    {SCMP_SYS(splice), SYSCALLS_SERVER, ANY},

    /* event loops, one more for each worker */
    {SCMP_SYS(epoll_create1), SYSCALLS_SERVER, ANY},
    {SCMP_SYS(epoll_ctl), SYSCALLS_SERVER, ANY},
    {SCMP_SYS(epoll_wait), SYSCALLS_SERVER, ANY},
    {SCMP_SYS(epoll_pwait), SYSCALLS_SERVER, ANY},                                   /* epoll_wait, where there is no other */
    {SCMP_SYS(epoll_pwait2), SYSCALLS_SERVER, ANY},                                  /* later libevents' */
    {SCMP_SYS(eventfd2), SYSCALLS_SERVER, ANY},
    {SCMP_SYS(timerfd_create), SYSCALLS_SERVER, ANY},                                /* libevent's precise timers */
    {SCMP_SYS(timerfd_settime), SYSCALLS_SERVER, ANY},
};

/* No line of ours, and none of a library that we use, leads to these: whoever calls one has taken the process over, and is not to try another. */
static const struct syscalls_row DEADLY[] = {
    {SCMP_SYS(execve), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(execveat), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(clone), SYSCALLS_BOTH, ONLY(HAS(0, CLONE_THREAD, 0))}, /* fork, as glibc makes it */
    {SCMP_SYS(fork), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(vfork), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(ptrace), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(process_vm_readv), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(process_vm_writev), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(pidfd_getfd), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(listen), SYSCALLS_BOTH, ANY},
    {SCMP_SYS(connect), SYSCALLS_JOURNAL, ANY},
};
/* clang-format on */

static int syscalls_add(scmp_filter_ctx filter, uint32_t action, const struct syscalls_row *row)
{
    struct scmp_arg_cmp only[2];
    unsigned count = 0;
    if (row->number < 0)
        return 0;
    for (; count < 2 && row->only[count].op != _SCMP_CMP_MIN; count++) {
        only[count] = row->only[count];
        if (only[count].datum_a == OWN_PID)
            only[count].datum_a = (scmp_datum_t)getpid();
    }
    return seccomp_rule_add_array(filter, action, row->number, count, only);
}

static int syscalls_add_all(scmp_filter_ctx filter, uint32_t action, const struct syscalls_row *rows, size_t count, enum syscalls_who who)
{
    int error = 0;
    for (size_t i = 0; error == 0 && i < count; i++)
        if (rows[i].who & who)
            error = syscalls_add(filter, action, &rows[i]);
    return error;
}

int syscalls_restrict(enum syscalls_who who)
{
    if (sizeof(long) < sizeof(uint64_t))
        return ENOTSUP; /* where large numbers have calls of their own, which the table does not have */
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (filter == NULL)
        return ENOMEM;
    int error = seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1); /* failures as the kernel names them */
    if (error == 0)
        error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (error == 0)
        error = syscalls_add_all(filter, SCMP_ACT_ALLOW, ALLOWED, sizeof(ALLOWED) / sizeof(ALLOWED[0]), who);
    if (error == 0)
        error = syscalls_add_all(filter, SCMP_ACT_KILL_PROCESS, DEADLY, sizeof(DEADLY) / sizeof(DEADLY[0]), who);
    if (error == 0)
        error = seccomp_load(filter);
    seccomp_release(filter);
    return -error;
}
