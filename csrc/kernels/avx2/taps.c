/* Sums of products of columns over the places of a window, eight columns at a time.
 * Precision: each product and its sum are one fused operation. Tolerance family: reduction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx2.h"

AVX2_COMPILED(taps)

void mtf_taps_sum_f32_avx2(float *y, const float *const *x /* (n) */,
                           const float *const *w /* (n) */, int64_t n, int64_t c, int add)
{
    for (int64_t j = 0; j < c; j += 8) {
        __m256 sum = add ? load_lanes(y + j, c - j) : _mm256_setzero_ps();
        for (int64_t t = 0; t < n; t++) {
            sum = _mm256_fmadd_ps(load_lanes(x[t] + j, c - j), load_lanes(w[t] + j, c - j), sum);
        }
        store_lanes(y + j, c - j, sum);
    }
}

void mtf_taps_add_f32_avx2(float *const *sums /* (n) */, const float *const *x /* (n) */,
                           const float *g, int64_t n, int64_t c)
{
    for (int64_t j = 0; j < c; j += 8) {
        const __m256 by = load_lanes(g + j, c - j);
        for (int64_t t = 0; t < n; t++) {
            float *to = sums[t] + j;
            store_lanes(to, c - j,
                        _mm256_fmadd_ps(load_lanes(x[t] + j, c - j), by, load_lanes(to, c - j)));
        }
    }
}
