/* Reads the configuration for a command and says on standard error what is wrong with it. */
#include "cli/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/command.h"

const char *load_name(const char *path)
{
    return path != NULL ? path : CONFIG_EMBEDDED;
}

struct config *load_read(const char *path, struct fault_list *faults)
{
    struct bundle *bundle = bundle_new();
    if (bundle == NULL) {
        command_no_memory();
        return NULL;
    }
    struct config *config = config_load(bundle, load_name(path), faults);
    bundle_free(bundle);
    if (config == NULL && fault_count(faults) == 0)
        command_no_memory();
    return config;
}

void load_print_lines(char *lines)
{
    for (char *line = strtok(lines, "\n"); line != NULL; line = strtok(NULL, "\n"))
        fprintf(stderr, "exeat: %s\n", line);
}

void load_print(const struct fault_list *faults)
{
    char *lines = fault_lines(faults, true, true);
    if (lines != NULL)
        load_print_lines(lines);
    else
        command_no_memory();
    free(lines);
}

static char *load_find_socket(const char *path, struct fault_list *faults)
{
    struct bundle *bundle = bundle_new();
    if (bundle == NULL) {
        command_no_memory();
        return NULL;
    }
    char *socket = config_find_socket(bundle, load_name(path), faults);
    bundle_free(bundle);
    if (socket != NULL)
        return socket;
    if (fault_count(faults) > 0)
        load_print(faults);
    log_error("%s: [admin] listen: there is none, so that nobody can be asked", load_name(path));
    return NULL;
}

char *load_socket(const char *path)
{
    struct fault_list *faults = fault_list_new();
    char *socket = faults != NULL ? load_find_socket(path, faults) : NULL;
    if (faults == NULL)
        command_no_memory();
    fault_list_free(faults);
    return socket;
}

struct config *load_config(const char *path)
{
    struct fault_list *faults = fault_list_new();
    if (faults == NULL) {
        command_no_memory();
        return NULL;
    }
    struct config *config = load_read(path, faults);
    if (config == NULL)
        load_print(faults);
    fault_list_free(faults);
    return config;
}
