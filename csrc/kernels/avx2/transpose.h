/* transpose.h: eight columns of eight rows at a time, for packing. For files of this folder only.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX2_TRANSPOSE_H
#define MTF_KERNELS_AVX2_TRANSPOSE_H

#include <immintrin.h>
#include <stdint.h>

/* Rows r and r + 4 in the two halves: each four values from row[..] (K) at p. */
static inline __m256 halves(const float *const row[8], int r, int64_t p)
{
    const __m256 low = _mm256_castps128_ps256(_mm_loadu_ps(row[r] + p));
    return _mm256_insertf128_ps(low, _mm_loadu_ps(row[r + 4] + p), 1);
}

/* column[c] = element p + c of each of eight rows (K), p + 8 <= K: halves come from memory in place,
 * so that only the 4 x 4 transposes within them are shuffles. */
static inline void eight_columns(__m256 column[8], const float *const row[8], int64_t p)
{
    for (int h = 0; h < 8; h += 4) {
        const __m256 a = halves(row, 0, p + h);
        const __m256 b = halves(row, 1, p + h);
        const __m256 c = halves(row, 2, p + h);
        const __m256 d = halves(row, 3, p + h);
        const __m256d ab_low = _mm256_castps_pd(_mm256_unpacklo_ps(a, b));
        const __m256d ab_high = _mm256_castps_pd(_mm256_unpackhi_ps(a, b));
        const __m256d cd_low = _mm256_castps_pd(_mm256_unpacklo_ps(c, d));
        const __m256d cd_high = _mm256_castps_pd(_mm256_unpackhi_ps(c, d));
        column[h + 0] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab_low, cd_low));
        column[h + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab_low, cd_low));
        column[h + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab_high, cd_high));
        column[h + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab_high, cd_high));
    }
}

#endif
