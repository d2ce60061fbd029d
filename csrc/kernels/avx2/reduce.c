/* Sums over columns and of squares, eight lanes at a time.
 *
 * Precision: column_sum adds rows in order as the reference does, bit-equal to it; sum_squares
 * keeps sixteen sums in double. Its order depends on n alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx2.h"

AVX2_COMPILED(reduce)

/* 32 columns in four registers over all rows. */
static void sum_32_columns(float *sum, const float *dy, int64_t lddy, int64_t m, int add)
{
    __m256 acc[4];
    for (int c = 0; c < 4; c++) {
        acc[c] = add ? _mm256_loadu_ps(sum + 8 * c) : _mm256_setzero_ps();
    }
    for (int64_t i = 0; i < m; i++) {
        for (int c = 0; c < 4; c++) {
            acc[c] = _mm256_add_ps(acc[c], _mm256_loadu_ps(dy + i * lddy + 8 * c));
        }
    }
    for (int c = 0; c < 4; c++) {
        _mm256_storeu_ps(sum + 8 * c, acc[c]);
    }
}

void mtf_column_sum_f32_avx2(float *sum, const float *dy, int64_t lddy, int64_t m, int64_t n,
                             int add)
{
    int64_t j = 0;
    for (; j + 32 <= n; j += 32) {
        sum_32_columns(sum + j, dy + j, lddy, m, add);
    }
    for (; j < n; j += 8) {
        const __m256i lanes = first_lanes(n - j);
        __m256 acc = add ? _mm256_maskload_ps(sum + j, lanes) : _mm256_setzero_ps();
        for (int64_t i = 0; i < m; i++) {
            acc = _mm256_add_ps(acc, _mm256_maskload_ps(dy + i * lddy + j, lanes));
        }
        _mm256_maskstore_ps(sum + j, lanes, acc);
    }
}

static inline __m256d add_squares(__m256d acc, __m128 x)
{
    const __m256d d = _mm256_cvtps_pd(x);
    return _mm256_fmadd_pd(d, d, acc);
}

double mtf_sum_squares_f32_avx2(const float *x, int64_t n)
{
    __m256d acc[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(),
                      _mm256_setzero_pd()};
    int64_t j = 0;
    for (; j + 16 <= n; j += 16) {
        for (int c = 0; c < 4; c++) {
            acc[c] = add_squares(acc[c], _mm_loadu_ps(x + j + 4 * c));
        }
    }
    for (; j < n; j += 8) {
        const __m256 v = _mm256_maskload_ps(x + j, first_lanes(n - j));
        acc[0] = add_squares(acc[0], _mm256_castps256_ps128(v));
        acc[1] = add_squares(acc[1], _mm256_extractf128_ps(v, 1));
    }
    const __m256d all = _mm256_add_pd(_mm256_add_pd(acc[0], acc[2]), _mm256_add_pd(acc[1], acc[3]));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(all), _mm256_extractf128_pd(all, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}
