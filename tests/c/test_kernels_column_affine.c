/* Scale, shift, residual and activation of columns, every level against the reference.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernel_levels.h"

/* parts: bits 0, 1 and 2 for scale, shift and residual. */
static void check_affine(const mtf_kernels *ref, const mtf_kernels *level, int64_t n, int parts,
                         mtf_activation act)
{
    const int64_t m = 3;
    const int64_t ld = n + 5;
    buffer y = buffer_random(m * ld, 1, -2.0, 2.0);
    buffer want = buffer_copy(y, 0);
    buffer alone = buffer_copy(y, 3);
    buffer scale = buffer_random(n, 2, -1.0, 1.0);
    buffer shift = buffer_random(n, 3, -1.0, 1.0);
    buffer residual = buffer_random(m * n, 5, -1.0, 1.0);
    const mtf_real *s = parts & 1 ? scale.data : NULL;
    const mtf_real *t = parts & 2 ? shift.data : NULL;
    const mtf_real *r = parts & 4 ? residual.data : NULL;
    level->column_affine(y.data, ld, s, t, r, n, m, n, act);
    ref->column_affine(want.data, ld, s, t, r, n, m, n, act);
    check_close_all(y.data, want.data, m * ld, TOLERANCE_ACTIVATION(8.0), "column affine");
    level->column_affine(alone.data + ld, ld, s, t, r != NULL ? r + n : NULL, n, 1, n, act);
    CHECK_BITS(alone.data + ld, y.data + ld, (size_t)n * sizeof *y.data);
    buffer_free(y), buffer_free(want), buffer_free(alone), buffer_free(scale);
    buffer_free(shift), buffer_free(residual);
}

MTF_TEST(columns_match_the_reference)
{
    mtf_kernels tables[MAX_LEVELS];
    const int n_levels = fill_levels(tables);
    for (int l = 0; l < n_levels; l++) {
        for (int s = 0; s < N_TEST_SIZES; s++) {
            for (int parts = 0; parts < 8; parts++) {
                static const mtf_activation kinds[] = {MTF_ACT_NONE, MTF_ACT_RELU, MTF_ACT_RELU6,
                                                       MTF_ACT_GELU};
                check_affine(&tables[0], &tables[l], test_sizes[s], parts, kinds[(s + parts) % 4]);
            }
        }
    }
}
