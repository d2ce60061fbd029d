/* Elementary functions over vectors, softmax by rows, and what a softmax of many labels is made of.
 *
 * Precision: elementary.h; softmax multiplies by the reciprocal of the sum, which is added in sixteen
 * lanes; exp_sum adds in sixteen lanes of double. A NaN in a row makes the whole row NaN. A row's bits
 * depend on its length alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include "elementary.h"

#include "avx512.h"

#include <math.h>

AVX512_COMPILED(elementary)

/* y (n) = F(x (n)), the last lanes by mask. */
#define MAP_ROW(F, y, x, n)                                                                        \
    for (int64_t j = 0; j < (n); j += 16) {                                                        \
        store_lanes((y) + j, (n) - j, F(load_lanes((x) + j, (n) - j)));                            \
    }

void mtf_vector_exp_f32_avx512(float *y, const float *x, int64_t n)
{
    MAP_ROW(exp_f32x16, y, x, n)
}

void mtf_vector_erf_f32_avx512(float *y, const float *x, int64_t n)
{
    MAP_ROW(erf_f32x16, y, x, n)
}

void mtf_vector_tanh_f32_avx512(float *y, const float *x, int64_t n)
{
    MAP_ROW(tanh_f32x16, y, x, n)
}

/* Lanes of x (n) past its end read as minus infinity. */
static inline __m512 load_scores(const float *x, int64_t n)
{
    return _mm512_mask_loadu_ps(F32X16(-INFINITY), first_lanes(n), x);
}

static float largest_of(const float *x, int64_t n)
{
    __m512 most = F32X16(-INFINITY);
    for (int64_t j = 0; j < n; j += 16) {
        most = _mm512_max_ps(most, load_scores(x + j, n - j));
    }
    return _mm512_reduce_max_ps(most);
}

void mtf_softmax_rows_f32_avx512(float *y, const float *x, int64_t m, int64_t n)
{
    for (int64_t i = 0; i < m; i++) {
        const float *in = x + i * n;
        float *out = y + i * n;
        const __m512 largest = F32X16(largest_of(in, n));
        __m512 total = _mm512_setzero_ps();
        for (int64_t j = 0; j < n; j += 16) {
            __m512 e = exp_f32x16(_mm512_sub_ps(load_lanes(in + j, n - j), largest));
            e = _mm512_maskz_mov_ps(first_lanes(n - j), e);
            store_lanes(out + j, n - j, e);
            total = _mm512_add_ps(total, e);
        }
        const __m512 factor = F32X16(1.0F / sum_lanes(total));
        for (int64_t j = 0; j < n; j += 16) {
            store_lanes(out + j, n - j, _mm512_mul_ps(load_lanes(out + j, n - j), factor));
        }
    }
}

/* acc[0], acc[1] += the lower and the upper eight of x. */
static inline void add_halves(__m512d acc[2], __m512 x)
{
    acc[0] = _mm512_add_pd(acc[0], _mm512_cvtps_pd(_mm512_castps512_ps256(x)));
    acc[1] = _mm512_add_pd(acc[1], _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)));
}

double mtf_exp_sum_f32_avx512(float *largest, const float *x, int64_t n)
{
    const float most = largest_of(x, n);
    const __m512 top = F32X16(most);
    __m512d acc[2] = {_mm512_setzero_pd(), _mm512_setzero_pd()};
    for (int64_t j = 0; j < n; j += 16) {
        const __m512 e = exp_f32x16(_mm512_sub_ps(load_lanes(x + j, n - j), top));
        add_halves(acc, _mm512_maskz_mov_ps(first_lanes(n - j), e));
    }
    *largest = most;
    return _mm512_reduce_add_pd(_mm512_add_pd(acc[0], acc[1]));
}

void mtf_exp_add_f32_avx512(float *y, const float *x, float largest, float factor, int64_t n)
{
    const __m512 top = F32X16(largest), times = F32X16(factor);
    for (int64_t j = 0; j < n; j += 16) {
        const __m512 e = exp_f32x16(_mm512_sub_ps(load_lanes(x + j, n - j), top));
        store_lanes(y + j, n - j, _mm512_fmadd_ps(e, times, load_lanes(y + j, n - j)));
    }
}
