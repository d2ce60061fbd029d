/* transpose.h: four columns of sixteen rows at a time, for packing. For files of this folder only.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX512_TRANSPOSE_H
#define MTF_KERNELS_AVX512_TRANSPOSE_H

#include <immintrin.h>

/* Rows r, r+4, r+8, r+12 in the four quarters: each four values from row[..] (K) at p. */
static inline __m512 quarters(const float *const row[16], int r, int64_t p)
{
    __m512 z = _mm512_castps128_ps512(_mm_loadu_ps(row[r] + p));
    z = _mm512_mask_broadcast_f32x4(z, 0x00F0, _mm_loadu_ps(row[r + 4] + p));
    z = _mm512_mask_broadcast_f32x4(z, 0x0F00, _mm_loadu_ps(row[r + 8] + p));
    return _mm512_mask_broadcast_f32x4(z, 0xF000, _mm_loadu_ps(row[r + 12] + p));
}

/* column[c] = element p + c of each of sixteen rows (K), p + 4 <= K: quarters come from memory in
 * place, so that only the 4 x 4 transposes within them are shuffles. */
static inline void four_columns(__m512 column[4], const float *const row[16], int64_t p)
{
    const __m512 a = quarters(row, 0, p);
    const __m512 b = quarters(row, 1, p);
    const __m512 c = quarters(row, 2, p);
    const __m512 d = quarters(row, 3, p);
    const __m512d ab_low = _mm512_castps_pd(_mm512_unpacklo_ps(a, b));
    const __m512d ab_high = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
    const __m512d cd_low = _mm512_castps_pd(_mm512_unpacklo_ps(c, d));
    const __m512d cd_high = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
    column[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab_low, cd_low));
    column[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab_low, cd_low));
    column[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab_high, cd_high));
    column[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab_high, cd_high));
}

#endif
