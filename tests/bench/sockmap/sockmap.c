/* Maps and programs by bpf(2) itself: the programs are short enough to be assembled by hand, without a compiler or library for them. */
#include "sockmap.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SOCKETS_MAX = 65536 };

static int sockmap_call(enum bpf_cmd command, union bpf_attr *attr)
{
    long result = syscall(SYS_bpf, command, attr, sizeof(*attr));
    return result < 0 ? -errno : (int)result;
}

/* ---- the programs ---- */

#define INSN(operation, to, from, offset, value)                                                                                                     \
    {                                                                                                                                                \
        .code = (operation), .dst_reg = (to), .src_reg = (from), .off = (offset), .imm = (value)                                                     \
    }
#define MOVE(to, from) INSN(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0)
#define SET(to, value) INSN(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value)
#define ADD(to, value) INSN(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value)
#define MAP(to, fd) INSN(BPF_LD | BPF_DW | BPF_IMM, to, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)
#define CALL(function) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, function)
#define SKIP_UNLESS(reg, value, count) INSN(BPF_JMP | BPF_JNE | BPF_K, reg, 0, count, value)
#define KEEP(offset, from) INSN(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, from, offset, 0)
#define FETCH(to, from, offset) INSN(BPF_LDX | BPF_MEM | BPF_DW, to, from, offset, 0)
#define LENGTH(to, skb) INSN(BPF_LDX | BPF_MEM | BPF_W, to, skb, offsetof(struct __sk_buff, len), 0)
#define COUNT(to, field, from) INSN(BPF_STX | BPF_ATOMIC | BPF_DW, to, from, offsetof(struct sockmap_count, field), BPF_ADD)
#define SKIP_IF(reg, value, count) INSN(BPF_JMP | BPF_JEQ | BPF_K, reg, 0, count, value)
#define SKIP_IF_LESS(reg, other, count) INSN(BPF_JMP | BPF_JLT | BPF_X, reg, other, count, 0)
#define LEAVE() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static int sockmap_load(const struct bpf_insn *program, size_t count)
{
    union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SK_SKB, .insns = (uintptr_t)program, .insn_cnt = (uint32_t)count, .license = (uintptr_t) "GPL"};
    return sockmap_call(BPF_PROG_LOAD, &attr);
}

/* key = cookie(skb); count = counts[key], or drop; pass where count.taken >= limits[key]; count.taken += len; redirect to ways[key], and where there
 * is none, count.dropped += len. */
static int sockmap_load_verdict(const struct sockmap *map)
{
    enum { SKB = BPF_REG_6, COUNTER = BPF_REG_7, KEY = -8 };
    const struct bpf_insn program[] = {
        MOVE(SKB, BPF_REG_1),
        CALL(BPF_FUNC_get_socket_cookie),
        KEEP(KEY, BPF_REG_0),
        MAP(BPF_REG_1, map->counts),
        MOVE(BPF_REG_2, BPF_REG_10),
        ADD(BPF_REG_2, KEY),
        CALL(BPF_FUNC_map_lookup_elem),
        MOVE(COUNTER, BPF_REG_0),
        SKIP_UNLESS(COUNTER, 0, 2),
        SET(BPF_REG_0, SK_DROP),
        LEAVE(),
        MAP(BPF_REG_1, map->limits),
        MOVE(BPF_REG_2, BPF_REG_10),
        ADD(BPF_REG_2, KEY),
        CALL(BPF_FUNC_map_lookup_elem),
        SKIP_IF(BPF_REG_0, 0, 5),
        FETCH(BPF_REG_1, COUNTER, offsetof(struct sockmap_count, taken)),
        FETCH(BPF_REG_2, BPF_REG_0, 0),
        SKIP_IF_LESS(BPF_REG_1, BPF_REG_2, 2),
        SET(BPF_REG_0, SK_PASS),
        LEAVE(),
        LENGTH(BPF_REG_1, SKB),
        COUNT(COUNTER, taken, BPF_REG_1),
        MOVE(BPF_REG_1, SKB),
        MAP(BPF_REG_2, map->ways),
        MOVE(BPF_REG_3, BPF_REG_10),
        ADD(BPF_REG_3, KEY),
        SET(BPF_REG_4, 0),
        CALL(BPF_FUNC_sk_redirect_hash),
        SKIP_UNLESS(BPF_REG_0, SK_DROP, 2),
        LENGTH(BPF_REG_1, SKB),
        COUNT(COUNTER, dropped, BPF_REG_1),
        LEAVE(),
    };
    return sockmap_load(program, sizeof(program) / sizeof(*program));
}

/* A message is whatever there is. */
static int sockmap_load_parser(void)
{
    const struct bpf_insn program[] = {LENGTH(BPF_REG_0, BPF_REG_1), LEAVE()};
    return sockmap_load(program, sizeof(program) / sizeof(*program));
}

/* ---- the maps ---- */

static int sockmap_create(enum bpf_map_type type, size_t value_size)
{
    union bpf_attr attr = {.map_type = type, .key_size = sizeof(uint64_t), .value_size = (uint32_t)value_size, .max_entries = SOCKETS_MAX};
    if (type == BPF_MAP_TYPE_HASH)
        attr.map_flags = BPF_F_NO_PREALLOC;
    return sockmap_call(BPF_MAP_CREATE, &attr);
}

static int sockmap_attach(int map, int program, enum bpf_attach_type type)
{
    union bpf_attr attr = {.target_fd = (uint32_t)map, .attach_bpf_fd = (uint32_t)program, .attach_type = type};
    return sockmap_call(BPF_PROG_ATTACH, &attr);
}

static int sockmap_fill(struct sockmap *map, enum sockmap_mode mode)
{
    if ((map->ways = sockmap_create(BPF_MAP_TYPE_SOCKHASH, sizeof(uint64_t))) < 0)
        return map->ways;
    if ((map->taps = sockmap_create(BPF_MAP_TYPE_SOCKHASH, sizeof(uint64_t))) < 0)
        return map->taps;
    if ((map->counts = sockmap_create(BPF_MAP_TYPE_HASH, sizeof(struct sockmap_count))) < 0)
        return map->counts;
    if ((map->limits = sockmap_create(BPF_MAP_TYPE_HASH, sizeof(uint64_t))) < 0)
        return map->limits;
    if ((map->verdict = sockmap_load_verdict(map)) < 0)
        return map->verdict;
    if (mode == SOCKMAP_VERDICT)
        return sockmap_attach(map->taps, map->verdict, BPF_SK_SKB_VERDICT);
    if ((map->parser = sockmap_load_parser()) < 0)
        return map->parser;
    int failed = sockmap_attach(map->taps, map->parser, BPF_SK_SKB_STREAM_PARSER);
    return failed ? failed : sockmap_attach(map->taps, map->verdict, BPF_SK_SKB_STREAM_VERDICT);
}

int sockmap_open(struct sockmap *map, enum sockmap_mode mode)
{
    *map = (struct sockmap){-1, -1, -1, -1, -1, -1};
    int failed = sockmap_fill(map, mode);
    if (failed)
        sockmap_close(map);
    return failed;
}

void sockmap_close(struct sockmap *map)
{
    const int fds[] = {map->taps, map->ways, map->counts, map->limits, map->verdict, map->parser};
    for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
}

/* ---- sockets ---- */

static uint64_t sockmap_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof(cookie);
    (void)getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
    return cookie;
}

static int sockmap_element(enum bpf_cmd command, int map, int fd, void *value)
{
    uint64_t key = sockmap_cookie(fd);
    union bpf_attr attr = {.map_fd = (uint32_t)map, .key = (uintptr_t)&key, .value = (uintptr_t)value};
    return sockmap_call(command, &attr);
}

int sockmap_lead(const struct sockmap *map, int fd, int to)
{
    uint64_t socket = (uint64_t)to;
    struct sockmap_count none = {0, 0};
    int failed = sockmap_element(BPF_MAP_UPDATE_ELEM, map->counts, fd, &none);
    return failed ? failed : sockmap_element(BPF_MAP_UPDATE_ELEM, map->ways, fd, &socket);
}

int sockmap_tap(const struct sockmap *map, int fd)
{
    uint64_t socket = (uint64_t)fd;
    return sockmap_element(BPF_MAP_UPDATE_ELEM, map->taps, fd, &socket);
}

int sockmap_untap(const struct sockmap *map, int fd)
{
    return sockmap_element(BPF_MAP_DELETE_ELEM, map->taps, fd, NULL);
}

int sockmap_limit(const struct sockmap *map, int fd, uint64_t taken)
{
    return sockmap_element(BPF_MAP_UPDATE_ELEM, map->limits, fd, &taken);
}

int sockmap_join(const struct sockmap *map, int one, int other)
{
    int failed = sockmap_lead(map, one, other);
    if (!failed)
        failed = sockmap_lead(map, other, one);
    if (!failed)
        failed = sockmap_tap(map, one);
    return failed ? failed : sockmap_tap(map, other);
}

int sockmap_kick(int fd)
{
    const int one = 1; /* the default: what counts is that setting it lets the kernel look whether there is data */
    return setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one)) == 0 ? 0 : -errno;
}

int sockmap_leave(const struct sockmap *map, int fd)
{
    int failed = sockmap_untap(map, fd);
    int way = sockmap_element(BPF_MAP_DELETE_ELEM, map->ways, fd, NULL);
    (void)sockmap_element(BPF_MAP_DELETE_ELEM, map->counts, fd, NULL);
    (void)sockmap_element(BPF_MAP_DELETE_ELEM, map->limits, fd, NULL);
    return failed ? failed : way;
}

struct sockmap_count sockmap_count(const struct sockmap *map, int fd)
{
    struct sockmap_count count = {0, 0};
    (void)sockmap_element(BPF_MAP_LOOKUP_ELEM, map->counts, fd, &count);
    return count;
}
