/* One value on its way from a file: its faults, its files, its part in the digest. */
#ifndef EXEAT_CONFIG_SETTING_H
#define EXEAT_CONFIG_SETTING_H

#include <stdbool.h>
#include <stddef.h>

#include "config/option.h"
#include "policy/network.h"

struct loader;
struct section;

struct setting {
    struct loader *loader;
    const struct option_row *row;
    const struct section *section;
    const char *file; /* where the value stands: for a line of a listed file, there */
    unsigned line;
    const char *text; /* a NUL stands at text[len]; one inside it is the file's */
    size_t len;
    void *target;        /* the section's struct */
    const char *meaning; /* the key that the digest is told; NULL: the row's. What stands in a file means what it would mean in place */
};

void setting_fault(const struct setting *setting, const char *format, ...) __attribute__((format(printf, 2, 3)));
void setting_warn(const struct setting *setting, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A fault, the first time: what stands behind it is not read any more. */
void setting_no_memory(const struct setting *setting);

/* Tells the digest what this value means. `value` is a normal form. */
void setting_fact(const struct setting *setting, const char *value);

/* Reads the text as a CIDR, or says what is wrong with it and, where host bits are set, which network was meant. */
bool setting_read_network(const struct setting *setting, struct network *network);
/* The same sentence for what pattern_read has refused. */
void setting_network_fault(const struct setting *setting, const struct network *network, const char *why);

/* array_room; NULL after a fault. */
void *setting_room(const struct setting *setting, void *array, size_t count, size_t size);

/* Calls `line` with a setting for each line that holds something: of bytes, or of the file that the text names. */
void setting_read_lines(const struct setting *setting, const char *bytes, size_t len, void (*line)(const struct setting *line, void *arg), void *arg);
void setting_read_file(const struct setting *setting, void (*line)(const struct setting *line, void *arg), void *arg);

#endif
