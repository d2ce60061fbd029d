/* Scale, shift, residual and activation of a product's columns, eight at a time, two lines of a row
 * together.
 * Precision: the product and the shift are one fused operation. Tolerance family: elementwise.
 * SPDX-License-Identifier: Apache-2.0 */
#include "activation.h"
#include "avx2.h"

AVX2_COMPILED(column_affine)

enum { LANES = 8, WIDE = 4 };

/* Columns 0 .. n - 1 of `width` registers; inlined with `act` and `width` known. */
static inline __attribute__((always_inline)) void columns(float *y, int64_t ldy, const float *scale,
                                                          const float *shift, const float *residual,
                                                          int64_t ldr, int64_t m, int64_t n,
                                                          int width, mtf_activation act)
{
    __m256 factor[WIDE];
    __m256 add[WIDE];
    for (int c = 0; c < width; c++) {
        const int64_t left = n - LANES * c;
        factor[c] = scale != NULL ? load_lanes(scale + LANES * c, left) : F32X8(1.0F);
        add[c] = shift != NULL ? load_lanes(shift + LANES * c, left) : F32X8(-0.0F);
    }
    for (int64_t i = 0; i < m; i++) {
        for (int c = 0; c < width; c++) {
            const int64_t left = n - LANES * c;
            float *at = y + i * ldy + LANES * c;
            __m256 value = _mm256_fmadd_ps(load_lanes(at, left), factor[c], add[c]);
            if (residual != NULL) {
                value = _mm256_add_ps(value, load_lanes(residual + i * ldr + LANES * c, left));
            }
            store_lanes(at, left, activate(value, act));
        }
    }
}

static inline __attribute__((always_inline)) void affine(float *y, int64_t ldy, const float *scale,
                                                         const float *shift, const float *residual,
                                                         int64_t ldr, int64_t m, int64_t n,
                                                         mtf_activation act)
{
    int64_t j = 0;
    for (; j + WIDE * LANES <= n; j += WIDE * LANES) {
        columns(y + j, ldy, scale != NULL ? scale + j : NULL, shift != NULL ? shift + j : NULL,
                residual != NULL ? residual + j : NULL, ldr, m, WIDE * LANES, WIDE, act);
    }
    for (; j < n; j += LANES) {
        columns(y + j, ldy, scale != NULL ? scale + j : NULL, shift != NULL ? shift + j : NULL,
                residual != NULL ? residual + j : NULL, ldr, m, n - j, 1, act);
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
