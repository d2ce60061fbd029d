/* quota.c: CPUs of the process, from its affinity and from the limits of its control groups.
 *
 * A container with `--cpus=2` on a large machine sees all CPUs but is stopped for the rest of each
 * period once it has used 2 of them; more threads than that only wait for each other. A limit holds
 * for all groups below, so every folder from the process's own up to the root is asked: cpu.max
 * ("quota period" or "max period") in version 2, cpu.cfs_quota_us (-1: none) and cpu.cfs_period_us
 * in version 1. Inside a container the path is often that of the host and does not exist; the
 * root is then the container's own group.
 * SPDX-License-Identifier: Apache-2.0 */
#ifdef __linux__
#define _GNU_SOURCE /* sched_getaffinity */
#endif

#include "quota.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_TEXT 4096

/* Reads the begin of a file into text (MOST_TEXT bytes, ended by 0); 0: it cannot be read. */
static int read_text(const char *path, char *text)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return 0;
    }
    ssize_t n = read(file, text, MOST_TEXT - 1);
    (void)close(file);
    text[n > 0 ? n : 0] = 0;
    return n > 0;
}

/* Reads the file `name` of a group; 0: it cannot be read. */
static int read_setting(const char *folder, const char *name, char *text)
{
    char path[MOST_TEXT];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length > 0 && length < MOST_TEXT && read_text(path, text);
}

/* CPUs of `quota` microseconds in each `period`, rounded up; 0: no limit. */
static int cpus_of(long long quota, long long period)
{
    if (quota <= 0 || period <= 0) {
        return 0;
    }
    long long n = quota / period + (quota % period != 0);
    return n < INT_MAX ? (int)n : 0;
}

/* The limit that one group sets; 0: none. */
static int group_limit(const char *folder)
{
    char text[MOST_TEXT];
    char *end;
    if (read_setting(folder, "cpu.max", text)) {
        long long quota = strtoll(text, &end, 10); /* "max" reads as 0 */
        return cpus_of(quota, strtoll(end, NULL, 10));
    }
    if (read_setting(folder, "cpu.cfs_quota_us", text)) {
        long long quota = strtoll(text, NULL, 10);
        return read_setting(folder, "cpu.cfs_period_us", text)
                   ? cpus_of(quota, strtoll(text, NULL, 10))
                   : 0;
    }
    return 0;
}

static int smaller_limit(int one, int other)
{
    return one == 0 || (other != 0 && other < one) ? other : one;
}

/* The smallest limit of the groups from `root`/`kind``path` up to `root`/`kind`. */
static int limit_above(const char *root, const char *kind, const char *path)
{
    char folder[MOST_TEXT];
    int length = snprintf(folder, sizeof folder, "%s%s%s", root, kind, path);
    if (length <= 0 || length >= MOST_TEXT) {
        return 0;
    }
    const size_t top = strlen(root) + strlen(kind);
    int limit = 0;
    for (;;) {
        limit = smaller_limit(limit, group_limit(folder));
        char *cut = strrchr(folder, '/');
        if (strlen(folder) <= top || cut == NULL) {
            return limit;
        }
        *(cut < folder + top ? folder + top : cut) = 0;
    }
}

int mtf_quota_cpus(const char *groups, const char *root)
{
    char text[MOST_TEXT];
    if (!read_text(groups, text)) {
        return 0;
    }
    int limit = 0;
    /* each line: number:controllers:/path */
    for (char *line = text; *line != 0;) {
        char *end = strchr(line, '\n');
        char *next = end != NULL ? end + 1 : line + strlen(line);
        if (end != NULL) {
            *end = 0;
        }
        char *controllers = strchr(line, ':');
        char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (path != NULL) {
            *path++ = 0;
            controllers++;
            if (*controllers == 0) {
                limit = smaller_limit(limit, limit_above(root, "", path));
            } else if (strcmp(controllers, "cpu") == 0 || strncmp(controllers, "cpu,", 4) == 0 ||
                       strcmp(controllers, "cpuacct,cpu") == 0) {
                limit = smaller_limit(limit, limit_above(root, "/cpu", path));
            }
        }
        line = next;
    }
    return limit;
}

static int affinity_cpus(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        return CPU_COUNT(&set);
    }
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 && n < INT_MAX ? (int)n : 1;
}

int mtf_usable_cpus(void)
{
    int n = affinity_cpus();
#ifdef __linux__
    int limit = mtf_quota_cpus("/proc/self/cgroup", "/sys/fs/cgroup");
    n = limit > 0 && limit < n ? limit : n;
#endif
    return n > 1 ? n : 1;
}
