/* rounding.h: floats to bf16 by the conversion instruction (denormals become zero), and back.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AMX_ROUNDING_H
#define MTF_KERNELS_AMX_ROUNDING_H

#include "../avx512/dot_product.h"

/* 32 terms from x (left), of which `left` exist, as bf16; the others are zero. */
static inline __m512i round_32(const float *x, int64_t left)
{
    const __m512 low = _mm512_maskz_loadu_ps(dot_lanes(left), x);
    const __m512 high = _mm512_maskz_loadu_ps(dot_lanes(left - 16), x + 16);
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* Half h (0, 1) of 32 values in bf16, as floats. */
static inline __m512 widen_16(__m512i halves, int h)
{
    const __m256i some =
        h == 0 ? _mm512_castsi512_si256(halves) : _mm512_extracti64x4_epi64(halves, 1);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(some), 16));
}

#endif
