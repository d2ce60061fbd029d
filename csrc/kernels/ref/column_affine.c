/* Reference scale, shift, residual and activation of a product's columns; the slot column_affine.
 * Precision: one rounding per multiply and per add. Tolerance family: elementwise.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ref.h"

void mtf_column_affine_ref(mtf_real *y, int64_t ldy, const mtf_real *scale, const mtf_real *shift,
                           const mtf_real *residual, int64_t ldr, int64_t m, int64_t n,
                           mtf_activation act)
{
    for (int64_t i = 0; i < m; i++) {
        mtf_real *row = y + i * ldy;
        for (int64_t j = 0; j < n; j++) {
            mtf_real value = scale != NULL ? row[j] * scale[j] : row[j];
            value = shift != NULL ? value + shift[j] : value;
            row[j] = residual != NULL ? value + residual[i * ldr + j] : value;
        }
        mtf_bias_act_fwd_ref(row, NULL, NULL, 1, n, act);
    }
}
