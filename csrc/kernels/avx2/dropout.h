/* dropout.h: mtf_mask_keeps() of eight consecutive lanes, for dropout and attention here.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX2_DROPOUT_H
#define MTF_KERNELS_AVX2_DROPOUT_H

#include <immintrin.h>
#include <stdint.h>

/* All ones in the lanes j .. j+7 that are kept. */
static inline __m256 keeps_f32x8(uint64_t row_key, uint32_t j, uint32_t threshold)
{
    const __m256i lane =
        _mm256_add_epi32(_mm256_set1_epi32((int)j), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    __m256i x = _mm256_add_epi32(_mm256_set1_epi32((int)(uint32_t)row_key),
                                 _mm256_mullo_epi32(lane, _mm256_set1_epi32((int)0x9E3779B9)));
    x = _mm256_xor_si256(x, _mm256_srli_epi32(x, 16));
    x = _mm256_mullo_epi32(x, _mm256_set1_epi32(0x7FEB352D));
    x = _mm256_xor_si256(x, _mm256_srli_epi32(x, 15));
    x = _mm256_mullo_epi32(x, _mm256_set1_epi32((int)0x846CA68B));
    x = _mm256_xor_si256(x, _mm256_srli_epi32(x, 16));
    x = _mm256_xor_si256(x, _mm256_set1_epi32((int)(uint32_t)(row_key >> 32)));
    /* unsigned x >= threshold */
    const __m256i most = _mm256_max_epu32(x, _mm256_set1_epi32((int)threshold));
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(most, x));
}

#endif
