/* elementary.h: exp, erf, tanh and the activations of sixteen floats, for the files of the AVX-512
 * folders; the formulas are those of avx2/elementary.h.
 *
 *   exp   x = n ln 2 + r, |r| <= ln 2 / 2; exp(r) = 1 + r + r^2 P(r) (Cephes expf); times 2^n by
 *         one scaling, which rounds denormals once. At most 1.01 ulp.
 *   erf   |x| <= 0.93: x + x Q(x^2); else 1 - exp(R(|x|)), sign put back. Minimax polynomials
 *         of N. Juffa (2014, "erff() with 1 ulp"). At most 1.1 ulp.
 *   tanh  |x| < 0.625: x + x^3 S(x^2) (Cephes tanhf); else 1 - 2 / (exp(2|x|) + 1). 2 ulp.
 *   gelu  by table: gelu.h.
 *
 * NaN gives NaN; infinities, zeros and their signs are exact. Fused multiply-add throughout.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX512_ELEMENTARY_H
#define MTF_KERNELS_AVX512_ELEMENTARY_H

#include "../kernels.h"
#include "gelu.h"

#include <immintrin.h>

#define F32X16(x) _mm512_set1_ps(x)

#define SQRT_2_OVER_PI 0.797884561F
#define GELU_CUBIC     0.044715F
#define QUICK_GELU     1.702F

static inline __m512 sign_of(__m512 x)
{
    return _mm512_and_ps(x, F32X16(-0.0F));
}

static inline __m512 exp_f32x16(__m512 x)
{
    /* beyond these the result is infinity or zero; the operand order lets NaN through */
    x = _mm512_max_ps(F32X16(-104.0F), _mm512_min_ps(F32X16(89.0F), x));
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, F32X16(1.44269504F)),
                                          _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(n, F32X16(0.693359375F), x); /* ln 2, high part: exact */
    r = _mm512_fnmadd_ps(n, F32X16(-2.12194440e-4F), r);
    __m512 p = F32X16(1.9875691500e-4F);
    p = _mm512_fmadd_ps(p, r, F32X16(1.3981999507e-3F));
    p = _mm512_fmadd_ps(p, r, F32X16(8.3334519073e-3F));
    p = _mm512_fmadd_ps(p, r, F32X16(4.1665795894e-2F));
    p = _mm512_fmadd_ps(p, r, F32X16(1.6666665459e-1F));
    p = _mm512_fmadd_ps(p, r, F32X16(5.0000001201e-1F));
    p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r);
    p = _mm512_add_ps(p, F32X16(1.0F));
    return _mm512_scalef_ps(p, n);
}

static inline __m512 erf_f32x16(__m512 x)
{
    const __m512 t = _mm512_abs_ps(x);
    const __m512 s = _mm512_mul_ps(x, x);
    /* |x| > 0.93 */
    __m512 r = _mm512_fmadd_ps(F32X16(-1.72853470e-5F), t, F32X16(3.83197126e-4F));
    const __m512 u = _mm512_fmadd_ps(F32X16(-3.88396438e-3F), t, F32X16(2.42546219e-2F));
    r = _mm512_fmadd_ps(r, s, u);
    r = _mm512_fmadd_ps(r, t, F32X16(-1.06777877e-1F));
    r = _mm512_fmadd_ps(r, t, F32X16(-6.34846687e-1F));
    r = _mm512_fmadd_ps(r, t, F32X16(-1.28717512e-1F));
    r = _mm512_fmsub_ps(r, t, t);
    const __m512 large = _mm512_or_ps(_mm512_sub_ps(F32X16(1.0F), exp_f32x16(r)), sign_of(x));
    /* |x| <= 0.93 */
    __m512 q = F32X16(-5.96761703e-4F);
    q = _mm512_fmadd_ps(q, s, F32X16(4.99119423e-3F));
    q = _mm512_fmadd_ps(q, s, F32X16(-2.67681349e-2F));
    q = _mm512_fmadd_ps(q, s, F32X16(1.12819925e-1F));
    q = _mm512_fmadd_ps(q, s, F32X16(-3.76125336e-1F));
    q = _mm512_fmadd_ps(q, s, F32X16(1.28379166e-1F));
    const __m512 small = _mm512_fmadd_ps(q, x, x);
    return _mm512_mask_mov_ps(small, _mm512_cmp_ps_mask(t, F32X16(0.927734375F), _CMP_GT_OQ),
                              large);
}

static inline __m512 tanh_f32x16(__m512 x)
{
    const __m512 t = _mm512_abs_ps(x);
    const __m512 s = _mm512_mul_ps(x, x);
    const __m512 e = exp_f32x16(_mm512_add_ps(t, t));
    const __m512 ratio = _mm512_div_ps(F32X16(2.0F), _mm512_add_ps(e, F32X16(1.0F)));
    const __m512 large = _mm512_or_ps(_mm512_sub_ps(F32X16(1.0F), ratio), sign_of(x));
    __m512 q = F32X16(-5.70498872745e-3F);
    q = _mm512_fmadd_ps(q, s, F32X16(2.06390887954e-2F));
    q = _mm512_fmadd_ps(q, s, F32X16(-5.37397155531e-2F));
    q = _mm512_fmadd_ps(q, s, F32X16(1.33314422036e-1F));
    q = _mm512_fmadd_ps(q, s, F32X16(-3.33332819422e-1F));
    const __m512 odd = _mm512_fmadd_ps(_mm512_mul_ps(q, s), x, x);
    const __m512 small = _mm512_or_ps(odd, sign_of(x)); /* x = -0 */
    return _mm512_mask_mov_ps(small, _mm512_cmp_ps_mask(t, F32X16(0.625F), _CMP_GE_OQ), large);
}

/* 1 / (1 + exp(-x)) */
static inline __m512 logistic_f32x16(__m512 x)
{
    const __m512 e = exp_f32x16(_mm512_sub_ps(_mm512_setzero_ps(), x));
    return _mm512_div_ps(F32X16(1.0F), _mm512_add_ps(e, F32X16(1.0F)));
}

/* tanh(sqrt(2/pi) (x + 0.044715 x^3)) */
static inline __m512 gelu_new_tanh_f32x16(__m512 x)
{
    const __m512 cubic = _mm512_mul_ps(_mm512_mul_ps(x, x), F32X16(GELU_CUBIC));
    return tanh_f32x16(_mm512_mul_ps(F32X16(SQRT_2_OVER_PI), _mm512_fmadd_ps(cubic, x, x)));
}

/* act(x), as bias_act_fwd computes it. With a constant `act` compilers keep one case. */
static inline __m512 activate_f32x16(__m512 x, mtf_activation act)
{
    switch (act) {
    case MTF_ACT_GELU:
        return gelu_f32x16(x);
    case MTF_ACT_GELU_NEW: {
        const __m512 half_x = _mm512_mul_ps(x, F32X16(0.5F));
        return _mm512_fmadd_ps(half_x, gelu_new_tanh_f32x16(x), half_x);
    }
    case MTF_ACT_RELU:
        return _mm512_max_ps(_mm512_setzero_ps(), x); /* in this order NaN stays NaN */
    case MTF_ACT_TANH:
        return tanh_f32x16(x);
    case MTF_ACT_SILU: {
        const __m512 e = exp_f32x16(_mm512_sub_ps(_mm512_setzero_ps(), x));
        return _mm512_div_ps(x, _mm512_add_ps(F32X16(1.0F), e));
    }
    case MTF_ACT_QUICK_GELU: {
        const __m512 e = exp_f32x16(_mm512_mul_ps(F32X16(-QUICK_GELU), x));
        return _mm512_div_ps(x, _mm512_add_ps(F32X16(1.0F), e));
    }
    case MTF_ACT_SIGMOID:
        return logistic_f32x16(x);
    case MTF_ACT_RELU6:
        return _mm512_min_ps(F32X16(6.0F), _mm512_max_ps(_mm512_setzero_ps(), x));
    case MTF_ACT_NONE:
        break;
    }
    return x;
}

#endif
