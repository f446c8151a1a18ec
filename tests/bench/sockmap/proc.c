/* Readers of /proc. */
#include "proc.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint64_t proc_number(const char *path, const char *word)
{
    char line[512];
    uint64_t value = 0;
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        const char *at = strstr(line, word);
        if (at && sscanf(at + strlen(word), "%" SCNu64, &value) == 1)
            break;
    }
    if (file)
        fclose(file);
    return value;
}

double proc_machine_s(void)
{
    uint64_t user = 0, nice = 0, system = 0, irq = 0, softirq = 0;
    FILE *file = fopen("/proc/stat", "re");
    if (file) {
        if (fscanf(file, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %*u %*u %" SCNu64 " %" SCNu64, &user, &nice, &system, &irq, &softirq) != 5)
            user = 0;
        fclose(file);
    }
    return (double)(user + nice + system + irq + softirq) / (double)sysconf(_SC_CLK_TCK);
}

double proc_workers_s(void)
{
    double total = 0;
    DIR *processes = opendir("/proc");
    for (struct dirent *entry; processes && (entry = readdir(processes));) {
        char path[300], name[32] = "";
        snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
        FILE *file = atoi(entry->d_name) > 0 ? fopen(path, "re") : NULL;
        if (!file)
            continue;
        bool is_worker = fgets(name, sizeof(name), file) && strncmp(name, "kworker", 7) == 0;
        fclose(file);
        snprintf(path, sizeof(path), "/proc/%s/schedstat", entry->d_name);
        total += is_worker ? (double)proc_number(path, "") / 1e9 : 0;
    }
    if (processes)
        closedir(processes);
    return total;
}
