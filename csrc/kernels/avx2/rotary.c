/* Rotation of pairs of columns, eight at a time; formulas as in ref/rotary.c.
 *
 * Precision: the second product and the sum are fused. Elementwise: nothing depends on place or row.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx2.h"

AVX2_COMPILED(rotary)

/* y (n, at most 8 lanes) = v, or += v. */
static inline void deliver(float *y, int64_t n, __m256 v, int add)
{
    store_lanes(y, n, add ? _mm256_add_ps(load_lanes(y, n), v) : v);
}

void mtf_rotary_row_f32_avx2(float *y, const float *x, const float *cosines, const float *sines,
                             int64_t n_heads, int64_t d, int64_t half, int add)
{
    for (int64_t h = 0; h < n_heads; h++) {
        const float *in = x + h * d;
        float *out = y + h * d;
        for (int64_t k = 0; k < half; k += 8) {
            const int64_t n = half - k;
            const __m256 x1 = load_lanes(in + k, n);
            const __m256 x2 = load_lanes(in + half + k, n);
            const __m256 c = load_lanes(cosines + k, n);
            const __m256 s = load_lanes(sines + k, n);
            deliver(out + k, n, _mm256_fnmadd_ps(x2, s, _mm256_mul_ps(x1, c)), add);
            deliver(out + half + k, n, _mm256_fmadd_ps(x1, s, _mm256_mul_ps(x2, c)), add);
        }
        for (int64_t k = 2 * half; k < d; k += 8) {
            deliver(out + k, d - k, load_lanes(in + k, d - k), add);
        }
    }
}
