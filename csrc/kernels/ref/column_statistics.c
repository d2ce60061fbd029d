/* Reference sums of columns around a center, and what a normalisation by columns hands down.
 *
 * One running sum a column, rows in order. Tolerance family: reduction; column_blend: elementwise.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ref.h"

void mtf_column_moments_ref(mtf_real *sum, mtf_real *squares, const mtf_real *x, int64_t ldx,
                            const mtf_real *center, int64_t m, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        sum[j] = 0;
        if (squares != NULL) {
            squares[j] = 0;
        }
    }
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            const mtf_real d = x[i * ldx + j] - center[j];
            sum[j] += d;
            if (squares != NULL) {
                squares[j] += d * d;
            }
        }
    }
}

void mtf_column_dots_ref(mtf_real *sum, mtf_real *dot, const mtf_real *g, const mtf_real *x,
                         const mtf_real *center, int64_t m, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        sum[j] = dot[j] = 0;
    }
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            sum[j] += g[i * n + j];
            dot[j] += g[i * n + j] * (x[i * n + j] - center[j]);
        }
    }
}

void mtf_column_blend_ref(mtf_real *y, const mtf_real *g, const mtf_real *x, const mtf_real *a,
                          const mtf_real *b, const mtf_real *c, const mtf_real *center, int64_t m,
                          int64_t n, int add)
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            const mtf_real value = a[j] * g[i * n + j] + (b[j] * (x[i * n + j] - center[j]) + c[j]);
            y[i * n + j] = add ? y[i * n + j] + value : value;
        }
    }
}
