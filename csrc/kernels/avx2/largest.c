/* The largest of rows in bf16, sixteen columns at a time, as integers in the order of base/bf16.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../../base/bf16.h"
#include "avx2.h"

AVX2_COMPILED(largest)

/* The way there and back but for adding: of negative numbers all bits below the sign turn. */
static inline __m256i turn(__m256i x)
{
    return _mm256_xor_si256(x, _mm256_srli_epi16(_mm256_srai_epi16(x, 15), 1));
}

void mtf_largest_halves_f32_avx2(uint16_t *y, const uint16_t *const *x /* (n) */, int64_t n,
                                 int64_t c)
{
    const __m256i around = _mm256_set1_epi16(0x7F);
    int64_t j = 0;
    for (; j + 16 <= c; j += 16) {
        __m256i largest = _mm256_set1_epi16(INT16_MIN);
        for (int64_t t = 0; t < n; t++) {
            const __m256i one = _mm256_loadu_si256((const void *)(x[t] + j));
            largest = _mm256_max_epi16(largest, _mm256_sub_epi16(turn(one), around));
        }
        _mm256_storeu_si256((void *)(y + j), turn(_mm256_add_epi16(largest, around)));
    }
    for (; j < c; j++) {
        int16_t largest = INT16_MIN;
        for (int64_t t = 0; t < n; t++) {
            const int16_t one = mtf_bf16_order(x[t][j]);
            largest = one > largest ? one : largest;
        }
        y[j] = mtf_bf16_of_order(largest);
    }
}
