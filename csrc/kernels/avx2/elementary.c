/* Elementary functions over vectors, sums into a vector, softmax by rows, and what a softmax of many
 * labels is made of.
 *
 * Precision: elementary.h; softmax multiplies by the reciprocal of the sum, which is added in eight
 * lanes; exp_sum adds in sixteen lanes of double. A NaN in a row makes the whole row NaN. A row's bits
 * depend on its length alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include "elementary.h"

#include "avx2.h"

#include <math.h>

AVX2_COMPILED(elementary)

void mtf_add_to_f32_avx2(float *y, const float *x, int64_t n)
{
    int64_t j = 0;
    for (; j + 8 <= n; j += 8) {
        _mm256_storeu_ps(y + j, _mm256_add_ps(_mm256_loadu_ps(y + j), _mm256_loadu_ps(x + j)));
    }
    for (; j < n; j++) {
        y[j] += x[j];
    }
}

/* y (n) = F(x (n)), the last lanes by mask. */
#define MAP_ROW(F, y, x, n)                                                                        \
    do {                                                                                           \
        int64_t j = 0;                                                                             \
        for (; j + 8 <= (n); j += 8) {                                                             \
            _mm256_storeu_ps((y) + j, F(_mm256_loadu_ps((x) + j)));                                \
        }                                                                                          \
        if (j < (n)) {                                                                             \
            const __m256i tail = first_lanes((n) - j);                                             \
            _mm256_maskstore_ps((y) + j, tail, F(_mm256_maskload_ps((x) + j, tail)));              \
        }                                                                                          \
    } while (0)

void mtf_vector_exp_f32_avx2(float *y, const float *x, int64_t n)
{
    MAP_ROW(exp_f32x8, y, x, n);
}

void mtf_vector_erf_f32_avx2(float *y, const float *x, int64_t n)
{
    MAP_ROW(erf_f32x8, y, x, n);
}

void mtf_vector_tanh_f32_avx2(float *y, const float *x, int64_t n)
{
    MAP_ROW(tanh_f32x8, y, x, n);
}

static float largest_of(const float *x, int64_t n)
{
    __m256 most = F32X8(-INFINITY);
    int64_t j = 0;
    for (; j + 8 <= n; j += 8) {
        most = _mm256_max_ps(most, _mm256_loadu_ps(x + j));
    }
    float largest = max_lanes(most);
    for (; j < n; j++) {
        largest = x[j] > largest ? x[j] : largest;
    }
    return largest;
}

void mtf_softmax_rows_f32_avx2(float *y, const float *x, int64_t m, int64_t n)
{
    for (int64_t i = 0; i < m; i++) {
        const float *in = x + i * n;
        float *out = y + i * n;
        const __m256 largest = F32X8(largest_of(in, n));
        __m256 total = _mm256_setzero_ps();
        int64_t j = 0;
        for (; j + 8 <= n; j += 8) {
            const __m256 e = exp_f32x8(_mm256_sub_ps(_mm256_loadu_ps(in + j), largest));
            _mm256_storeu_ps(out + j, e);
            total = _mm256_add_ps(total, e);
        }
        const __m256i tail = first_lanes(n - j);
        if (j < n) {
            const __m256 held = _mm256_maskload_ps(in + j, tail);
            const __m256 e =
                _mm256_and_ps(exp_f32x8(_mm256_sub_ps(held, largest)), _mm256_castsi256_ps(tail));
            _mm256_maskstore_ps(out + j, tail, e);
            total = _mm256_add_ps(total, e);
        }
        const __m256 factor = F32X8(1.0F / sum_lanes(total));
        for (j = 0; j + 8 <= n; j += 8) {
            _mm256_storeu_ps(out + j, _mm256_mul_ps(_mm256_loadu_ps(out + j), factor));
        }
        if (j < n) {
            _mm256_maskstore_ps(out + j, tail,
                                _mm256_mul_ps(_mm256_maskload_ps(out + j, tail), factor));
        }
    }
}

/* acc[0], acc[1] += the lower and the upper four of x. */
static inline void add_halves(__m256d acc[2], __m256 x)
{
    acc[0] = _mm256_add_pd(acc[0], _mm256_cvtps_pd(_mm256_castps256_ps128(x)));
    acc[1] = _mm256_add_pd(acc[1], _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)));
}

double mtf_exp_sum_f32_avx2(float *largest, const float *x, int64_t n)
{
    const float most = largest_of(x, n);
    const __m256 top = F32X8(most);
    __m256d acc[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(),
                      _mm256_setzero_pd()};
    int64_t j = 0;
    for (; j + 16 <= n; j += 16) {
        add_halves(acc, exp_f32x8(_mm256_sub_ps(_mm256_loadu_ps(x + j), top)));
        add_halves(acc + 2, exp_f32x8(_mm256_sub_ps(_mm256_loadu_ps(x + j + 8), top)));
    }
    for (; j < n; j += 8) {
        const __m256 there = _mm256_castsi256_ps(first_lanes(n - j));
        const __m256 e = exp_f32x8(_mm256_sub_ps(load_lanes(x + j, n - j), top));
        add_halves(acc, _mm256_and_ps(e, there));
    }
    const __m256d all = _mm256_add_pd(_mm256_add_pd(acc[0], acc[2]), _mm256_add_pd(acc[1], acc[3]));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(all), _mm256_extractf128_pd(all, 1));
    *largest = most;
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

void mtf_exp_add_f32_avx2(float *y, const float *x, float largest, float factor, int64_t n)
{
    const __m256 top = F32X8(largest), times = F32X8(factor);
    int64_t j = 0;
    for (; j + 8 <= n; j += 8) {
        const __m256 e = exp_f32x8(_mm256_sub_ps(_mm256_loadu_ps(x + j), top));
        _mm256_storeu_ps(y + j, _mm256_fmadd_ps(e, times, _mm256_loadu_ps(y + j)));
    }
    if (j < n) {
        const __m256 e = exp_f32x8(_mm256_sub_ps(load_lanes(x + j, n - j), top));
        store_lanes(y + j, n - j, _mm256_fmadd_ps(e, times, load_lanes(y + j, n - j)));
    }
}
