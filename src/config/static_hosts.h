/* [dns] hosts_file: names whose addresses stand in a file. */
#ifndef EXEAT_CONFIG_STATIC_HOSTS_H
#define EXEAT_CONFIG_STATIC_HOSTS_H

#include "config/setting.h"

struct dns_settings;

/* Reads the file that the setting names into dns->hosts, sorted by name; an address that is none is a fault, a name that is none a warning. */
void static_hosts_read(const struct setting *setting, struct dns_settings *dns);

#endif
