/* dropout.h: mtf_mask_keeps() of sixteen lanes of one row, or of one lane of sixteen rows, for
 * dropout and attention here. SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX512_DROPOUT_H
#define MTF_KERNELS_AVX512_DROPOUT_H

#include "../../base/random.h"

#include <immintrin.h>
#include <stdint.h>

static inline __mmask16 keeps_mixed(__m512i x, __m512i last, uint32_t threshold)
{
    x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
    x = _mm512_mullo_epi32(x, _mm512_set1_epi32(0x7FEB352D));
    x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 15));
    x = _mm512_mullo_epi32(x, _mm512_set1_epi32((int)0x846CA68B));
    x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
    x = _mm512_xor_si512(x, last);
    return _mm512_cmpge_epu32_mask(x, _mm512_set1_epi32((int)threshold));
}

/* The lanes j .. j+15 that are kept. */
static inline __mmask16 keeps_f32x16(uint64_t row_key, uint32_t j, uint32_t threshold)
{
    const __m512i count = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i lane = _mm512_add_epi32(_mm512_set1_epi32((int)j), count);
    const __m512i x =
        _mm512_add_epi32(_mm512_set1_epi32((int)(uint32_t)row_key),
                         _mm512_mullo_epi32(lane, _mm512_set1_epi32((int)0x9E3779B9)));
    return keeps_mixed(x, _mm512_set1_epi32((int)(uint32_t)(row_key >> 32)), threshold);
}

/* The two halves of the keys of sixteen rows. */
typedef struct row_keys {
    __m512i low, high;
} row_keys;

static inline row_keys row_keys_of(uint64_t key, int64_t first_row)
{
    uint32_t low[16];
    uint32_t high[16];
    for (int r = 0; r < 16; r++) {
        const uint64_t row_key = mtf_random_mix(key, (uint64_t)(first_row + r));
        low[r] = (uint32_t)row_key;
        high[r] = (uint32_t)(row_key >> 32);
    }
    const row_keys keys = {_mm512_loadu_si512(low), _mm512_loadu_si512(high)};
    return keys;
}

/* The rows that keep lane j. */
static inline __mmask16 keeps_in_rows(row_keys keys, uint32_t j, uint32_t threshold)
{
    const __m512i step = _mm512_set1_epi32((int)(j * UINT32_C(0x9E3779B9)));
    return keeps_mixed(_mm512_add_epi32(keys.low, step), keys.high, threshold);
}

#endif
