/* Dropout of one row, eight lanes at a time; the mask is that of base/random.h bit for bit.
 * SPDX-License-Identifier: Apache-2.0 */
#include "dropout.h"

#include "avx2.h"

AVX2_COMPILED(dropout)

void mtf_dropout_row_f32_avx2(float *y, const float *x, int64_t n, uint64_t row_key,
                              uint32_t threshold, float keep_scale, int add)
{
    const __m256 factor = _mm256_set1_ps(keep_scale);
    for (int64_t j = 0; j < n; j += 8) {
        const __m256 kept = keeps_f32x8(row_key, (uint32_t)j, threshold);
        __m256 v = _mm256_mul_ps(load_lanes(x + j, n - j), factor);
        v = _mm256_and_ps(v, kept);
        v = add ? _mm256_add_ps(load_lanes(y + j, n - j), v) : v;
        store_lanes(y + j, n - j, v);
    }
}
