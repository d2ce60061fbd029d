/* Scale, shift, residual and activation of a product's columns, eight at a time.
 * Precision: the product and the shift are one fused operation. Tolerance family: elementwise.
 * SPDX-License-Identifier: Apache-2.0 */
#include "activation.h"
#include "avx2.h"

AVX2_COMPILED(column_affine)

/* Inlined with `act` known. */
static inline __attribute__((always_inline)) void affine(float *y, int64_t ldy, const float *scale,
                                                         const float *shift, const float *residual,
                                                         int64_t ldr, int64_t m, int64_t n,
                                                         mtf_activation act)
{
    for (int64_t j = 0; j < n; j += 8) {
        const __m256 factor = scale != NULL ? load_lanes(scale + j, n - j) : F32X8(1.0F);
        const __m256 add = shift != NULL ? load_lanes(shift + j, n - j) : F32X8(-0.0F);
        for (int64_t i = 0; i < m; i++) {
            __m256 value = _mm256_fmadd_ps(load_lanes(y + i * ldy + j, n - j), factor, add);
            if (residual != NULL) {
                value = _mm256_add_ps(value, load_lanes(residual + i * ldr + j, n - j));
            }
            store_lanes(y + i * ldy + j, n - j, activate(value, act));
        }
    }
}

void mtf_column_affine_f32_avx2(float *y, int64_t ldy, const float *scale, const float *shift,
                                const float *residual, int64_t ldr, int64_t m, int64_t n,
                                mtf_activation act)
{
    switch (act) {
    case MTF_ACT_NONE:
        affine(y, ldy, scale, shift, residual, ldr, m, n, MTF_ACT_NONE);
        break;
    case MTF_ACT_RELU:
        affine(y, ldy, scale, shift, residual, ldr, m, n, MTF_ACT_RELU);
        break;
    case MTF_ACT_RELU6:
        affine(y, ldy, scale, shift, residual, ldr, m, n, MTF_ACT_RELU6);
        break;
    default:
        affine(y, ldy, scale, shift, residual, ldr, m, n, act);
        break;
    }
}
