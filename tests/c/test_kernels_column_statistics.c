/* Sums of columns around a center and their backward, every level against the reference.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernel_levels.h"

enum { ROWS = 9 };

static void check_sums(const mtf_kernels *ref, const mtf_kernels *level, int64_t n)
{
    buffer x = buffer_random(ROWS * n, 1, -2.0, 2.0);
    buffer g = buffer_random(ROWS * n, 3, -2.0, 2.0);
    buffer center = buffer_random(n, 5, -1.0, 1.0);
    buffer sum = buffer_random(n, 1, -1.0, 1.0);
    buffer other = buffer_random(n, 3, -1.0, 1.0);
    buffer want = buffer_copy(sum, 0);
    buffer want_other = buffer_copy(other, 0);
    ref->column_moments(want.data, want_other.data, x.data, n, center.data, ROWS, n);
    level->column_moments(sum.data, other.data, x.data, n, center.data, ROWS, n);
    check_close_all(sum.data, want.data, n, TOLERANCE_ACTIVATION(32.0), "sums");
    check_close_all(other.data, want_other.data, n, TOLERANCE_ACTIVATION(64.0), "squares");
    level->column_moments(want.data, NULL, x.data, n, center.data, ROWS, n);
    CHECK_BITS(want.data, sum.data, (size_t)n * sizeof *sum.data);
    ref->column_dots(want.data, want_other.data, g.data, x.data, center.data, ROWS, n);
    level->column_dots(sum.data, other.data, g.data, x.data, center.data, ROWS, n);
    check_close_all(sum.data, want.data, n, TOLERANCE_ACTIVATION(32.0), "sums of gradients");
    check_close_all(other.data, want_other.data, n, TOLERANCE_ACTIVATION(64.0), "dots");
    buffer_free(x), buffer_free(g), buffer_free(center), buffer_free(sum), buffer_free(other);
    buffer_free(want), buffer_free(want_other);
}

static void check_blend(const mtf_kernels *ref, const mtf_kernels *level, int64_t n, int add)
{
    buffer y = buffer_random(ROWS * n, 1, -2.0, 2.0);
    buffer want = buffer_copy(y, 0);
    buffer g = buffer_random(ROWS * n, 2, -2.0, 2.0);
    buffer x = buffer_random(ROWS * n, 3, -2.0, 2.0);
    buffer factors = buffer_random(4 * n, 5, -1.0, 1.0);
    const mtf_real *f = factors.data;
    ref->column_blend(want.data, g.data, x.data, f, f + n, f + 2 * n, f + 3 * n, ROWS, n, add);
    level->column_blend(y.data, g.data, x.data, f, f + n, f + 2 * n, f + 3 * n, ROWS, n, add);
    check_close_all(y.data, want.data, ROWS * n, TOLERANCE_ACTIVATION(8.0), "blend");
    if (!add) { /* y may be g */
        level->column_blend(g.data, g.data, x.data, f, f + n, f + 2 * n, f + 3 * n, ROWS, n, 0);
        CHECK_BITS(g.data, y.data, (size_t)(ROWS * n) * sizeof *y.data);
    }
    buffer_free(y), buffer_free(want), buffer_free(g), buffer_free(x), buffer_free(factors);
}

MTF_TEST(statistics_match_the_reference)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int s = 0; s < N_TEST_SIZES; s++) {
            check_sums(&tables[0], &tables[l], test_sizes[s]);
            check_blend(&tables[0], &tables[l], test_sizes[s], 0);
            check_blend(&tables[0], &tables[l], test_sizes[s], 1);
        }
    }
}
