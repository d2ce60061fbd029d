/* Bias and activation, eight values at a time; formulas as in ref/activation.c.
 *
 * GELU is written by the tail of the normal distribution, so that one exp serves both passes:
 *   tail(|x|) = erfc(|x| / sqrt 2) / 2 = exp(-x^2 / 2) Q(1 / (1 + p |x|)) / 2
 *   gelu(x) = max(x, 0) - |x| tail(|x|);  gelu'(x) = Phi(x) + x exp(-x^2 / 2) / sqrt(2 pi)
 * Q of degree 6 in the form of Abramowitz, Stegun 7.1.26, fitted for least largest error: tail
 * within 1.6e-7, |x| tail(|x|) within 1e-7. At infinity the limits, where the formula gives NaN.
 * Precision: elementary.h, then fused multiply-adds. Elementwise: nothing depends on place or row.
 * SPDX-License-Identifier: Apache-2.0 */
#include "elementary.h"

#include "avx2.h"

AVX2_COMPILED(activation)

#define INV_SQRT_2PI   0.398942280F
#define SQRT_2_OVER_PI 0.797884561F
#define GELU_CUBIC     0.044715F
#define TAIL_P         0.38890873F /* 0.55 / sqrt 2 */

/* Phi(-|x|); *bell receives exp(-x^2 / 2). */
static inline __m256 normal_tail(__m256 x, __m256 *bell)
{
    const __m256 e = exp_f32x8(_mm256_mul_ps(_mm256_mul_ps(x, F32X8(-0.5F)), x));
    const __m256 z =
        _mm256_div_ps(F32X8(1.0F), _mm256_fmadd_ps(F32X8(TAIL_P), absolute(x), F32X8(1.0F)));
    __m256 q = F32X8(0.5F * 0.10732442F);
    q = _mm256_fmadd_ps(q, z, F32X8(0.5F * -0.518038F));
    q = _mm256_fmadd_ps(q, z, F32X8(0.5F * 0.75971377F));
    q = _mm256_fmadd_ps(q, z, F32X8(0.5F * -0.041425545F));
    q = _mm256_fmadd_ps(q, z, F32X8(0.5F * 0.39084184F));
    q = _mm256_fmadd_ps(q, z, F32X8(0.5F * 0.3015835F));
    *bell = e;
    return _mm256_mul_ps(e, _mm256_mul_ps(q, z));
}

/* |x|, or 20 when it is larger: both passes have reached their limits there. NaN stays. */
static inline __m256 bounded(__m256 x)
{
    return _mm256_min_ps(F32X8(20.0F), absolute(x));
}

static inline __m256 logistic(__m256 x)
{
    const __m256 e = exp_f32x8(_mm256_sub_ps(_mm256_setzero_ps(), x));
    return _mm256_div_ps(F32X8(1.0F), _mm256_add_ps(e, F32X8(1.0F)));
}

/* tanh(sqrt(2/pi) (x + 0.044715 x^3)) */
static inline __m256 gelu_new_tanh(__m256 x)
{
    const __m256 cubic = _mm256_mul_ps(_mm256_mul_ps(x, x), F32X8(GELU_CUBIC));
    return tanh_f32x8(_mm256_mul_ps(F32X8(SQRT_2_OVER_PI), _mm256_fmadd_ps(cubic, x, x)));
}

static inline __m256 activate(__m256 x, mtf_activation act)
{
    const __m256 half_x = _mm256_mul_ps(x, F32X8(0.5F));
    switch (act) {
    case MTF_ACT_GELU: {
        __m256 bell;
        const __m256 tail = normal_tail(x, &bell);
        return _mm256_fnmadd_ps(bounded(x), tail, _mm256_max_ps(_mm256_setzero_ps(), x));
    }
    case MTF_ACT_GELU_NEW:
        return _mm256_fmadd_ps(half_x, gelu_new_tanh(x), half_x);
    case MTF_ACT_RELU:
        return _mm256_max_ps(_mm256_setzero_ps(), x); /* in this order NaN stays NaN */
    case MTF_ACT_TANH:
        return tanh_f32x8(x);
    case MTF_ACT_SILU:
        return _mm256_div_ps(
            x, _mm256_add_ps(F32X8(1.0F), exp_f32x8(_mm256_sub_ps(_mm256_setzero_ps(), x))));
    case MTF_ACT_NONE:
        break;
    }
    return x;
}

static inline __m256 derivative(__m256 x, mtf_activation act)
{
    const __m256 one = F32X8(1.0F);
    const __m256 half = F32X8(0.5F);
    switch (act) {
    case MTF_ACT_GELU: {
        __m256 bell;
        const __m256 tail = normal_tail(x, &bell);
        const __m256 below = _mm256_blendv_ps(_mm256_sub_ps(one, tail), tail, x); /* by sign */
        const __m256 lever = _mm256_or_ps(bounded(x), sign_of(x));
        return _mm256_fmadd_ps(_mm256_mul_ps(lever, F32X8(INV_SQRT_2PI)), bell, below);
    }
    case MTF_ACT_GELU_NEW: {
        const __m256 t = gelu_new_tanh(x);
        const __m256 square = _mm256_mul_ps(x, x);
        const __m256 ds = _mm256_mul_ps(F32X8(SQRT_2_OVER_PI),
                                        _mm256_fmadd_ps(square, F32X8(3 * GELU_CUBIC), one));
        const __m256 slope = _mm256_mul_ps(_mm256_fnmadd_ps(t, t, one), ds);
        return _mm256_fmadd_ps(_mm256_mul_ps(half, x), slope, _mm256_fmadd_ps(half, t, half));
    }
    case MTF_ACT_RELU: {
        const __m256 yes = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GT_OQ);
        const __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
        return _mm256_or_ps(_mm256_and_ps(yes, one), _mm256_and_ps(nan, x));
    }
    case MTF_ACT_TANH: {
        const __m256 t = tanh_f32x8(x);
        return _mm256_fnmadd_ps(t, t, one);
    }
    case MTF_ACT_SILU: {
        const __m256 s = logistic(x);
        return _mm256_mul_ps(s, _mm256_fmadd_ps(x, _mm256_sub_ps(one, s), one));
    }
    case MTF_ACT_NONE:
        break;
    }
    return one;
}

/* One row; always inlined with a constant `act`, so that the switch is outside the loop. */
static inline void finish_row(float *y, float *pre, const float *b, int64_t n, mtf_activation act)
{
    int64_t j = 0;
    for (; j + 8 <= n; j += 8) {
        __m256 v = _mm256_loadu_ps(y + j);
        v = b != NULL ? _mm256_add_ps(v, _mm256_loadu_ps(b + j)) : v;
        if (pre != NULL) {
            _mm256_storeu_ps(pre + j, v);
        }
        _mm256_storeu_ps(y + j, activate(v, act));
    }
    if (j < n) {
        const __m256i tail = first_lanes(n - j);
        __m256 v = _mm256_maskload_ps(y + j, tail);
        v = b != NULL ? _mm256_add_ps(v, _mm256_maskload_ps(b + j, tail)) : v;
        if (pre != NULL) {
            _mm256_maskstore_ps(pre + j, tail, v);
        }
        _mm256_maskstore_ps(y + j, tail, activate(v, act));
    }
}

static inline void finish_rows(float *y, float *pre, const float *b, int64_t m, int64_t n,
                               mtf_activation act)
{
    for (int64_t i = 0; i < m; i++) {
        finish_row(y + i * n, pre != NULL ? pre + i * n : NULL, b, n, act);
    }
}

void mtf_bias_act_fwd_f32_avx2(float *y, float *pre, const float *b, int64_t m, int64_t n,
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
    }
}

static inline void backward_row(float *dpre, const float *dy, const float *pre, int64_t n,
                                mtf_activation act)
{
    int64_t j = 0;
    for (; j + 8 <= n; j += 8) {
        const __m256 slope = derivative(_mm256_loadu_ps(pre + j), act);
        _mm256_storeu_ps(dpre + j, _mm256_mul_ps(_mm256_loadu_ps(dy + j), slope));
    }
    if (j < n) {
        const __m256i tail = first_lanes(n - j);
        const __m256 slope = derivative(_mm256_maskload_ps(pre + j, tail), act);
        _mm256_maskstore_ps(dpre + j, tail, _mm256_mul_ps(_mm256_maskload_ps(dy + j, tail), slope));
    }
}

void mtf_act_bwd_f32_avx2(float *dpre, const float *dy, const float *pre, int64_t n,
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
    }
}
