/* Elementary functions over vectors, and softmax by rows.
 *
 * Precision: elementary.h; softmax multiplies by the reciprocal of the sum, which is added in sixteen
 * lanes. A NaN in a row makes the whole row NaN. A row's bits depend on its length alone.
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

void mtf_softmax_rows_f32_avx512(float *y, const float *x, int64_t m, int64_t n)
{
    for (int64_t i = 0; i < m; i++) {
        const float *in = x + i * n;
        float *out = y + i * n;
        __m512 most = F32X16(-INFINITY);
        for (int64_t j = 0; j < n; j += 16) {
            most = _mm512_max_ps(most, load_scores(in + j, n - j));
        }
        const __m512 largest = F32X16(_mm512_reduce_max_ps(most));
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
