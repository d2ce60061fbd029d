/* dropout.h: mtf_mask_keeps() of eight lanes of one row, or of one lane of eight rows, for dropout
 * and attention here. SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX2_DROPOUT_H
#define MTF_KERNELS_AVX2_DROPOUT_H

#include "../../base/random.h"

#include <immintrin.h>
#include <stdint.h>

static inline __m256 keeps_mixed(__m256i x, __m256i last, uint32_t threshold)
{
    x = _mm256_xor_si256(x, _mm256_srli_epi32(x, 16));
    x = _mm256_mullo_epi32(x, _mm256_set1_epi32(0x7FEB352D));
    x = _mm256_xor_si256(x, _mm256_srli_epi32(x, 15));
    x = _mm256_mullo_epi32(x, _mm256_set1_epi32((int)0x846CA68B));
    x = _mm256_xor_si256(x, _mm256_srli_epi32(x, 16));
    x = _mm256_xor_si256(x, last);
    /* unsigned x >= threshold */
    const __m256i most = _mm256_max_epu32(x, _mm256_set1_epi32((int)threshold));
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(most, x));
}

/* All ones in the lanes j .. j+7 that are kept. */
static inline __m256 keeps_f32x8(uint64_t row_key, uint32_t j, uint32_t threshold)
{
    const __m256i lane =
        _mm256_add_epi32(_mm256_set1_epi32((int)j), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    const __m256i x =
        _mm256_add_epi32(_mm256_set1_epi32((int)(uint32_t)row_key),
                         _mm256_mullo_epi32(lane, _mm256_set1_epi32((int)0x9E3779B9)));
    return keeps_mixed(x, _mm256_set1_epi32((int)(uint32_t)(row_key >> 32)), threshold);
}

/* The two halves of the keys of eight rows. */
typedef struct row_keys {
    __m256i low, high;
} row_keys;

static inline row_keys row_keys_of(uint64_t key, int64_t first_row)
{
    uint32_t low[8];
    uint32_t high[8];
    for (int r = 0; r < 8; r++) {
        const uint64_t row_key = mtf_random_mix(key, (uint64_t)(first_row + r));
        low[r] = (uint32_t)row_key;
        high[r] = (uint32_t)(row_key >> 32);
    }
    const row_keys keys = {_mm256_loadu_si256((const __m256i *)low),
                           _mm256_loadu_si256((const __m256i *)high)};
    return keys;
}

/* All ones in the rows that keep lane j. */
static inline __m256 keeps_in_rows(row_keys keys, uint32_t j, uint32_t threshold)
{
    const __m256i step = _mm256_set1_epi32((int)(j * UINT32_C(0x9E3779B9)));
    return keeps_mixed(_mm256_add_epi32(keys.low, step), keys.high, threshold);
}

#endif
