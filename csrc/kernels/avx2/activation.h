/* activation.h: the activations of eight floats, for the files of this folder; formulas as in
 * ref/activation.c.
 *
 * GELU is written by the tail of the normal distribution, so that one exp serves both passes:
 *   tail(|x|) = erfc(|x| / sqrt 2) / 2 = exp(-x^2 / 2) Q(1 / (1 + p |x|)) / 2
 *   gelu(x) = max(x, 0) - |x| tail(|x|);  gelu'(x) = Phi(x) + x exp(-x^2 / 2) / sqrt(2 pi)
 * Q of degree 6 in the form of Abramowitz, Stegun 7.1.26, fitted for least largest error: tail
 * within 1.6e-7, |x| tail(|x|) within 1e-7. At infinity the limits, where the formula gives NaN.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX2_ACTIVATION_H
#define MTF_KERNELS_AVX2_ACTIVATION_H

#include "../kernels.h"
#include "elementary.h"

#define INV_SQRT_2PI   0.398942280F
#define SQRT_2_OVER_PI 0.797884561F
#define GELU_CUBIC     0.044715F
#define QUICK_GELU     1.702F
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
    case MTF_ACT_QUICK_GELU: {
        const __m256 e = exp_f32x8(_mm256_mul_ps(F32X8(-QUICK_GELU), x));
        return _mm256_div_ps(x, _mm256_add_ps(F32X8(1.0F), e));
    }
    case MTF_ACT_SIGMOID:
        return logistic(x);
    case MTF_ACT_RELU6:
        return _mm256_min_ps(F32X8(6.0F), _mm256_max_ps(_mm256_setzero_ps(), x));
    case MTF_ACT_NONE:
        break;
    }
    return x;
}

/* act'(x) */
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
    case MTF_ACT_QUICK_GELU: {
        const __m256 slower = _mm256_mul_ps(F32X8(QUICK_GELU), x);
        const __m256 s = logistic(slower);
        return _mm256_mul_ps(s, _mm256_fmadd_ps(slower, _mm256_sub_ps(one, s), one));
    }
    case MTF_ACT_SIGMOID: {
        const __m256 s = logistic(x);
        return _mm256_mul_ps(s, _mm256_sub_ps(one, s));
    }
    case MTF_ACT_RELU6: {
        const __m256 yes = _mm256_and_ps(_mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GT_OQ),
                                         _mm256_cmp_ps(x, F32X8(6.0F), _CMP_LT_OQ));
        const __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
        return _mm256_or_ps(_mm256_and_ps(yes, one), _mm256_and_ps(nan, x));
    }
    case MTF_ACT_NONE:
        break;
    }
    return one;
}

#endif
