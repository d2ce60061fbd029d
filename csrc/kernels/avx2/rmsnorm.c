/* Division by the root mean square, eight lanes at a time; formulas as in ref/rmsnorm.c.
 *
 * Precision: sums over a group in 16 lanes forward and 8 backward, fused multiply-adds, true square
 * root. dw adds rows in order. A group's bits depend on D alone, never on M.
 * SPDX-License-Identifier: Apache-2.0 */
#include "elementary.h"

#include "avx2.h"

#include <math.h>

AVX2_COMPILED(rmsnorm)

/* held (n) = x + residual (n), or x without one; returns the sum of its squares. held may be x. */
static inline float take_group(float *held, const float *x, const float *residual, int64_t n)
{
    __m256 acc[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (int64_t j = 0; j < n; j += 16) {
        for (int h = 0; h < 2; h++) {
            const int64_t at = j + 8 * h;
            if (at >= n) {
                break;
            }
            __m256 v = load_lanes(x + at, n - at);
            if (residual != NULL) {
                v = _mm256_add_ps(v, load_lanes(residual + at, n - at));
            }
            if (residual != NULL || held != x) {
                store_lanes(held + at, n - at, v);
            }
            acc[h] = _mm256_fmadd_ps(v, v, acc[h]);
        }
    }
    return sum_lanes(_mm256_add_ps(acc[0], acc[1]));
}

void mtf_rmsnorm_fwd_f32_avx2(float *y, float *sum, float *stats, const float *x,
                              const float *residual, const float *w, int64_t m, int64_t c,
                              int64_t d, float eps, float offset)
{
    const __m256 shift = F32X8(offset);
    for (int64_t at = 0; at < m * c; at += d) {
        float *held = (sum != NULL ? sum : y) + at;
        const float squares = take_group(held, x + at, residual != NULL ? residual + at : NULL, d);
        const float r = 1.0F / sqrtf(squares / (float)d + eps);
        const __m256 factor = F32X8(r);
        for (int64_t j = 0; j < d; j += 8) {
            const __m256 n = _mm256_mul_ps(load_lanes(held + j, d - j), factor);
            const __m256 weight = _mm256_add_ps(shift, load_lanes(w + j, d - j));
            store_lanes(y + at + j, d - j, _mm256_mul_ps(n, weight));
        }
        if (stats != NULL) {
            stats[at / d] = r;
        }
    }
}

void mtf_rmsnorm_bwd_x_f32_avx2(float *dsum, const float *dy, const float *extra, const float *sum,
                                const float *stats, const float *w, int64_t m, int64_t c, int64_t d,
                                float offset)
{
    const __m256 shift = F32X8(offset);
    for (int64_t at = 0; at < m * c; at += d) {
        const __m256 r = F32X8(stats[at / d]);
        __m256 acc = _mm256_setzero_ps();
        for (int64_t j = 0; j < d; j += 8) {
            const __m256 weight = _mm256_add_ps(shift, load_lanes(w + j, d - j));
            const __m256 g = _mm256_mul_ps(load_lanes(dy + at + j, d - j), weight);
            acc = _mm256_fmadd_ps(g, _mm256_mul_ps(load_lanes(sum + at + j, d - j), r), acc);
        }
        const __m256 average = F32X8(sum_lanes(acc) / (float)d);
        for (int64_t j = 0; j < d; j += 8) {
            const __m256 weight = _mm256_add_ps(shift, load_lanes(w + j, d - j));
            const __m256 g = _mm256_mul_ps(load_lanes(dy + at + j, d - j), weight);
            const __m256 n = _mm256_mul_ps(load_lanes(sum + at + j, d - j), r);
            __m256 ds = _mm256_mul_ps(r, _mm256_fnmadd_ps(n, average, g));
            if (extra != NULL) {
                ds = _mm256_add_ps(ds, load_lanes(extra + at + j, d - j));
            }
            store_lanes(dsum + at + j, d - j, ds);
        }
    }
}

void mtf_rmsnorm_bwd_w_f32_avx2(float *dw, const float *dy, const float *sum, const float *stats,
                                int64_t m, int64_t c, int64_t d, int64_t d0, int64_t d1, int add)
{
    for (int64_t j = d0; j < d1; j += 8) {
        __m256 acc = add ? load_lanes(dw + j, d1 - j) : _mm256_setzero_ps();
        for (int64_t at = 0; at < m * c; at += d) {
            const __m256 n = _mm256_mul_ps(load_lanes(sum + at + j, d1 - j), F32X8(stats[at / d]));
            acc = _mm256_fmadd_ps(load_lanes(dy + at + j, d1 - j), n, acc);
        }
        store_lanes(dw + j, d1 - j, acc);
    }
}
