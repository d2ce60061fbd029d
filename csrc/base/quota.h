/* quota.h: how many CPUs this process may use.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_BASE_QUOTA_H
#define MTF_BASE_QUOTA_H

/* CPUs that the scheduler may put this process on, or that its control groups pay for, whichever is
 * less; at least 1. */
int mtf_usable_cpus(void);

/* CPUs that control groups allow, rounded up; 0: no limit. `groups` is a file such as
 * /proc/self/cgroup, `root` a folder such as /sys/fs/cgroup. Unreadable files set no limit. */
int mtf_quota_cpus(const char *groups, const char *root);

#endif
