/* Reference sums of products of columns over the places of a window; the slots taps_sum and taps_add.
 * Precision: one rounding per multiply and per add. Tolerance family: reduction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ref.h"

void mtf_taps_sum_ref(mtf_real *y, const mtf_real *const *x /* (n) */,
                      const mtf_real *const *w /* (n) */, int64_t n, int64_t c, int add)
{
    for (int64_t j = 0; j < c && !add; j++) {
        y[j] = 0;
    }
    for (int64_t t = 0; t < n; t++) {
        for (int64_t j = 0; j < c; j++) {
            y[j] += x[t][j] * w[t][j];
        }
    }
}

void mtf_taps_add_ref(mtf_real *const *sums /* (n) */, const mtf_real *const *x /* (n) */,
                      const mtf_real *g, int64_t n, int64_t c)
{
    for (int64_t t = 0; t < n; t++) {
        for (int64_t j = 0; j < c; j++) {
            sums[t][j] += x[t][j] * g[j];
        }
    }
}
