/* Kernels over columns as convolutions and batch norms call them: microseconds of a piece of rows that
 * stays in the second-level cache, at every level.
 *
 *   bench_columns
 *
 * Levels are called in turn, so that a busy moment hits all alike; the least time of many counts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "kernels/kernels.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define REPEATS    60
#define CALLS      20
#define VALUES     65536
#define MAX_LEVELS 8

enum { AFFINE, MOMENTS, DOTS, BLEND, N_KINDS };

static const char *const kinds[] = {"affine", "moments", "dots", "blend"};
static const int64_t widths[] = {64, 256, 1024, 2048};

/* Seconds of this thread: what others take of the machine does not count. */
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* values: y, x, g (VALUES each), then six rows of n. */
static void call(const mtf_kernels *table, int kind, float *values, int64_t n)
{
    float *y = values;
    const float *x = values + VALUES;
    const float *g = x + VALUES;
    float *row = values + 3 * VALUES;
    const int64_t m = VALUES / n;
    switch (kind) {
    case AFFINE:
        table->column_affine(y, n, row, row + n, x, n, m, n, MTF_ACT_RELU);
        break;
    case MOMENTS:
        table->column_moments(row + 4 * n, row + 5 * n, x, n, row, m, n);
        break;
    case DOTS:
        table->column_dots(row + 4 * n, row + 5 * n, g, x, row, m, n);
        break;
    default:
        table->column_blend(y, g, x, row, row + n, row + 2 * n, row + 3 * n, m, n, 0);
        break;
    }
}

int main(void)
{
    float *values = mtf_alloc((3 * VALUES + 6 * 2048) * sizeof *values);
    mtf_kernels tables[MAX_LEVELS];
    const char *found[MAX_LEVELS];
    char names[MTF_KERNELS_LIST];
    int n_levels = 0;
    if (values == NULL) {
        return 1;
    }
    for (int64_t i = 0; i < 3 * VALUES + 6 * 2048; i++) {
        values[i] = 0.25F;
    }
    mtf_kernels_list(names, sizeof names, 1);
    for (char *name = strtok(names, " "); name != NULL; name = strtok(NULL, " ")) {
        if (n_levels < MAX_LEVELS && mtf_kernels_fill(&tables[n_levels], name)) {
            found[n_levels++] = name;
        }
    }
    for (int kind = 0; kind < N_KINDS; kind++) {
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
            double least[MAX_LEVELS] = {0};
            for (int r = 0; r < REPEATS; r++) {
                for (int level = 0; level < n_levels; level++) {
                    const double start = now();
                    for (int i = 0; i < CALLS; i++) {
                        call(&tables[level], kind, values, widths[w]);
                    }
                    const double took = (now() - start) / CALLS;
                    least[level] = r == 0 || took < least[level] ? took : least[level];
                }
            }
            printf("%-8s %4" PRId64 " columns", kinds[kind], widths[w]);
            for (int level = 0; level < n_levels; level++) {
                printf("  %s %.1f us", found[level], 1e6 * least[level]);
            }
            printf("\n");
        }
    }
    mtf_free(values);
    return 0;
}
