/* Dropout of one row, sixteen lanes at a time; the mask is that of base/random.h bit for bit.
 * SPDX-License-Identifier: Apache-2.0 */
#include "dropout.h"

#include "avx512.h"

AVX512_COMPILED(dropout)

void mtf_dropout_row_f32_avx512(float *y, const float *x, int64_t n, uint64_t row_key,
                                uint32_t threshold, float keep_scale, int add)
{
    const __m512 factor = _mm512_set1_ps(keep_scale);
    for (int64_t j = 0; j < n; j += 16) {
        const __mmask16 kept = keeps_f32x16(row_key, (uint32_t)j, threshold);
        __m512 v = _mm512_maskz_mul_ps(kept, load_lanes(x + j, n - j), factor);
        v = add ? _mm512_add_ps(load_lanes(y + j, n - j), v) : v;
        store_lanes(y + j, n - j, v);
    }
}
