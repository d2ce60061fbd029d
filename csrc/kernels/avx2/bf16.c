/* Rounding rows to bfloat16 and back; the bits of ref/bf16.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../../base/bf16.h"
#include "avx2.h"

AVX2_COMPILED(bf16)

/* Eight floats as 32-bit lanes whose lower halves are their bfloat16s: nearest, ties to even; NaN
 * stays NaN and quiet. */
static inline __m256i round_lanes(__m256 x)
{
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i upper = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_srli_epi32(
        _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF))), 16);
    const __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(rounded, quiet, nan);
}

void mtf_bf16_round_f32_avx2(uint16_t *y, const float *x, int64_t n)
{
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m256i low = round_lanes(_mm256_loadu_ps(x + i));
        const __m256i high = round_lanes(_mm256_loadu_ps(x + i + 8));
        /* packing works within 128-bit halves; the permutation puts them in order */
        const __m256i both = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xD8);
        _mm256_storeu_si256((__m256i *)(void *)(y + i), both);
    }
    for (; i < n; i++) {
        y[i] = mtf_bf16_round(x[i]);
    }
}

void mtf_bf16_widen_f32_avx2(float *y, const uint16_t *x, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m128i half = _mm_loadu_si128((const __m128i *)(const void *)(x + i));
        const __m256i bits = _mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16);
        _mm256_storeu_ps(y + i, _mm256_castsi256_ps(bits));
    }
    for (; i < n; i++) {
        y[i] = mtf_bf16_value(x[i]);
    }
}
