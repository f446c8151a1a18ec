/* The host lists that are compiled in from conf/hosts/NAME.hosts, and the embedded default configuration. */
#ifndef EXEAT_CONFIG_HOSTS_BUILTIN_H
#define EXEAT_CONFIG_HOSTS_BUILTIN_H

#include <stddef.h>

struct embedded_file {
    const char *name;  /* "buildkite" for conf/hosts/buildkite.hosts; "exeat.default.conf" for the default */
    const char *bytes; /* NUL-terminated */
    size_t len;
};

/* The lists in order of name; the table is generated at build time (src/config/embed.sh) and ends with a NULL name. */
extern const struct embedded_file HOSTS_BUILTIN[];
extern const struct embedded_file CONFIG_DEFAULT;

const struct embedded_file *hosts_builtin_find(const char *name);

#endif
