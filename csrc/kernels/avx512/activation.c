/* Bias and activation, sixteen values at a time; formulas as in ref/activation.c, GELU and its slope
 * by table (gelu.h). Elementwise: nothing depends on place or row.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx512.h"
#include "elementary.h"

AVX512_COMPILED(activation)

static inline __m512 derivative(__m512 x, mtf_activation act)
{
    const __m512 one = F32X16(1.0F);
    const __m512 half = F32X16(0.5F);
    switch (act) {
    case MTF_ACT_GELU:
        return gelu_slope_f32x16(x);
    case MTF_ACT_GELU_NEW: {
        const __m512 t = gelu_new_tanh_f32x16(x);
        const __m512 square = _mm512_mul_ps(x, x);
        const __m512 ds = _mm512_mul_ps(F32X16(SQRT_2_OVER_PI),
                                        _mm512_fmadd_ps(square, F32X16(3 * GELU_CUBIC), one));
        const __m512 slope = _mm512_mul_ps(_mm512_fnmadd_ps(t, t, one), ds);
        return _mm512_fmadd_ps(_mm512_mul_ps(half, x), slope, _mm512_fmadd_ps(half, t, half));
    }
    case MTF_ACT_RELU: {
        const __mmask16 yes = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
        const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
        return _mm512_mask_mov_ps(_mm512_maskz_mov_ps(yes, one), nan, x);
    }
    case MTF_ACT_TANH: {
        const __m512 t = tanh_f32x16(x);
        return _mm512_fnmadd_ps(t, t, one);
    }
    case MTF_ACT_SILU: {
        const __m512 s = logistic_f32x16(x);
        return _mm512_mul_ps(s, _mm512_fmadd_ps(x, _mm512_sub_ps(one, s), one));
    }
    case MTF_ACT_QUICK_GELU: {
        const __m512 slower = _mm512_mul_ps(F32X16(QUICK_GELU), x);
        const __m512 s = logistic_f32x16(slower);
        return _mm512_mul_ps(s, _mm512_fmadd_ps(slower, _mm512_sub_ps(one, s), one));
    }
    case MTF_ACT_SIGMOID: {
        const __m512 s = logistic_f32x16(x);
        return _mm512_mul_ps(s, _mm512_sub_ps(one, s));
    }
    case MTF_ACT_RELU6: {
        const __mmask16 yes = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ) &
                              _mm512_cmp_ps_mask(x, F32X16(6.0F), _CMP_LT_OQ);
        const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
        return _mm512_mask_mov_ps(_mm512_maskz_mov_ps(yes, one), nan, x);
    }
    case MTF_ACT_NONE:
        break;
    }
    return one;
}

/* y (n) = act(y + b), n >= 1 lanes of it; pre, b (n) or NULL. */
static inline void finish_lanes(float *y, float *pre, const float *b, int64_t n, mtf_activation act)
{
    __m512 v = load_lanes(y, n);
    v = b != NULL ? _mm512_add_ps(v, load_lanes(b, n)) : v;
    if (pre != NULL) {
        store_lanes(pre, n, v);
    }
    store_lanes(y, n, activate_f32x16(v, act));
}

/* Always inlined with a constant `act`, so that the switch is outside the loop. */
static inline void finish_rows(float *y, float *pre, const float *b, int64_t m, int64_t n,
                               mtf_activation act)
{
    for (int64_t i = 0; i < m; i++) {
        float *row = y + i * n;
        float *pre_row = pre != NULL ? pre + i * n : NULL;
        int64_t j = 0;
        for (; j + 16 <= n; j += 16) {
            finish_lanes(row + j, pre_row != NULL ? pre_row + j : NULL, b != NULL ? b + j : NULL,
                         16, act);
        }
        if (j < n) {
            finish_lanes(row + j, pre_row != NULL ? pre_row + j : NULL, b != NULL ? b + j : NULL,
                         n - j, act);
        }
    }
}

void mtf_bias_act_fwd_f32_avx512(float *y, float *pre, const float *b, int64_t m, int64_t n,
                                 mtf_activation act)
{
    switch (act) {
    case MTF_ACT_NONE:
        finish_rows(y, pre, b, m, n, MTF_ACT_NONE);
        break;
    case MTF_ACT_GELU:
        finish_rows(y, pre, b, m, n, MTF_ACT_GELU);
        break;
    case MTF_ACT_GELU_NEW:
        finish_rows(y, pre, b, m, n, MTF_ACT_GELU_NEW);
        break;
    case MTF_ACT_RELU:
        finish_rows(y, pre, b, m, n, MTF_ACT_RELU);
        break;
    case MTF_ACT_TANH:
        finish_rows(y, pre, b, m, n, MTF_ACT_TANH);
        break;
    case MTF_ACT_SILU:
        finish_rows(y, pre, b, m, n, MTF_ACT_SILU);
        break;
    case MTF_ACT_QUICK_GELU:
        finish_rows(y, pre, b, m, n, MTF_ACT_QUICK_GELU);
        break;
    case MTF_ACT_SIGMOID:
        finish_rows(y, pre, b, m, n, MTF_ACT_SIGMOID);
        break;
    case MTF_ACT_RELU6:
        finish_rows(y, pre, b, m, n, MTF_ACT_RELU6);
        break;
    }
}

static inline void backward_row(float *dpre, const float *dy, const float *pre, int64_t n,
                                mtf_activation act)
{
    int64_t j = 0;
    for (; j + 16 <= n; j += 16) {
        const __m512 slope = derivative(_mm512_loadu_ps(pre + j), act);
        _mm512_storeu_ps(dpre + j, _mm512_mul_ps(_mm512_loadu_ps(dy + j), slope));
    }
    if (j < n) {
        const __m512 slope = derivative(load_lanes(pre + j, n - j), act);
        store_lanes(dpre + j, n - j, _mm512_mul_ps(load_lanes(dy + j, n - j), slope));
    }
}

void mtf_act_bwd_f32_avx512(float *dpre, const float *dy, const float *pre, int64_t n,
                            mtf_activation act)
{
    switch (act) {
    case MTF_ACT_NONE:
        backward_row(dpre, dy, pre, n, MTF_ACT_NONE);
        break;
    case MTF_ACT_GELU:
        backward_row(dpre, dy, pre, n, MTF_ACT_GELU);
        break;
    case MTF_ACT_GELU_NEW:
        backward_row(dpre, dy, pre, n, MTF_ACT_GELU_NEW);
        break;
    case MTF_ACT_RELU:
        backward_row(dpre, dy, pre, n, MTF_ACT_RELU);
        break;
    case MTF_ACT_TANH:
        backward_row(dpre, dy, pre, n, MTF_ACT_TANH);
        break;
    case MTF_ACT_SILU:
        backward_row(dpre, dy, pre, n, MTF_ACT_SILU);
        break;
    case MTF_ACT_QUICK_GELU:
        backward_row(dpre, dy, pre, n, MTF_ACT_QUICK_GELU);
        break;
    case MTF_ACT_SIGMOID:
        backward_row(dpre, dy, pre, n, MTF_ACT_SIGMOID);
        break;
    case MTF_ACT_RELU6:
        backward_row(dpre, dy, pre, n, MTF_ACT_RELU6);
        break;
    }
}
