/* Copies of runs of bytes: every level, short and long ones, apart and over each other.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernel_levels.h"

enum { MOST = 400, N = 5, ROOM = N * MOST };

static void check_runs(const mtf_kernels *level, const char *from, int64_t step, int64_t n,
                       int64_t run)
{
    char to[ROOM + 2];
    memset(to, 'x', sizeof to);
    level->copy_runs(to + 1, from, step, n, run);
    for (int64_t i = 0; i < n; i++) {
        CHECK_BITS(to + 1 + i * run, from + i * step, (size_t)run);
    }
    CHECK(to[0] == 'x' && to[1 + n * run] == 'x');
}

MTF_TEST(runs_come_one_behind_the_other)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    char *from = mtf_alloc(2 * ROOM);
    for (int64_t i = 0; i < (int64_t)2 * ROOM; i++) {
        from[i] = (char)(i * 7919 % 127);
    }
    for (int l = 0; l < n_levels; l++) {
        for (int64_t run = 0; run <= MOST; run += run < 140 ? 1 : 37) {
            for (int64_t n = 0; n <= N; n++) {
                check_runs(&tables[l], from + 3, run + 6, n, run);
                check_runs(&tables[l], from, run / 3, n, run);
            }
        }
    }
    mtf_free(from);
}

/* The last byte that is read may be the last one there is. */
MTF_TEST(nothing_is_read_behind_the_last_run)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int64_t run = 1; run < 140; run++) {
            char *from = malloc((size_t)(2 * run));
            char *to = malloc((size_t)(2 * run));
            CHECK(from != NULL && to != NULL);
            memset(from, 'a', (size_t)(2 * run));
            tables[l].copy_runs(to, from, run, 2, run);
            CHECK_BITS(to, from, (size_t)(2 * run));
            free(from);
            free(to);
        }
    }
}
