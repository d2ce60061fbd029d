/* elementary.h: exp, erf and tanh of eight floats, for the files of this folder.
 *
 *   exp   x = n ln 2 + r, |r| <= ln 2 / 2; exp(r) = 1 + r + r^2 P(r) (Cephes expf); times 2^n in two
 *         halves, so that the ends of the range round once. At most 1.01 ulp, denormals too.
 *   erf   |x| <= 0.93: x + x Q(x^2); else 1 - exp(R(|x|)), sign put back. Minimax polynomials
 *         of N. Juffa (2014, "erff() with 1 ulp"). At most 1.1 ulp.
 *   tanh  |x| < 0.625: x + x^3 S(x^2) (Cephes tanhf); else 1 - 2 / (exp(2|x|) + 1). 2 ulp.
 *
 * NaN gives NaN; infinities, zeros and their signs are exact. Fused multiply-add throughout.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX2_ELEMENTARY_H
#define MTF_KERNELS_AVX2_ELEMENTARY_H

#include <immintrin.h>

#define F32X8(x) _mm256_set1_ps(x)

static inline __m256 sign_of(__m256 x)
{
    return _mm256_and_ps(x, F32X8(-0.0F));
}

static inline __m256 absolute(__m256 x)
{
    return _mm256_andnot_ps(F32X8(-0.0F), x);
}

/* 2^n for -126 <= n <= 127. */
static inline __m256 power_of_two(__m256i n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

static inline __m256 exp_f32x8(__m256 x)
{
    /* beyond these the result is infinity or zero; the operand order lets NaN through */
    x = _mm256_max_ps(F32X8(-104.0F), _mm256_min_ps(F32X8(89.0F), x));
    const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, F32X8(1.44269504F)),
                                     _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, F32X8(0.693359375F), x); /* ln 2, high part: exact */
    r = _mm256_fnmadd_ps(n, F32X8(-2.12194440e-4F), r);
    __m256 p = F32X8(1.9875691500e-4F);
    p = _mm256_fmadd_ps(p, r, F32X8(1.3981999507e-3F));
    p = _mm256_fmadd_ps(p, r, F32X8(8.3334519073e-3F));
    p = _mm256_fmadd_ps(p, r, F32X8(4.1665795894e-2F));
    p = _mm256_fmadd_ps(p, r, F32X8(1.6666665459e-1F));
    p = _mm256_fmadd_ps(p, r, F32X8(5.0000001201e-1F));
    p = _mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r);
    p = _mm256_add_ps(p, F32X8(1.0F));
    const __m256i whole = _mm256_cvtps_epi32(n);
    const __m256i half = _mm256_srai_epi32(whole, 1);
    p = _mm256_mul_ps(p, power_of_two(half));
    return _mm256_mul_ps(p, power_of_two(_mm256_sub_epi32(whole, half)));
}

static inline __m256 erf_f32x8(__m256 x)
{
    const __m256 t = absolute(x);
    const __m256 s = _mm256_mul_ps(x, x);
    /* |x| > 0.93 */
    __m256 r = _mm256_fmadd_ps(F32X8(-1.72853470e-5F), t, F32X8(3.83197126e-4F));
    const __m256 u = _mm256_fmadd_ps(F32X8(-3.88396438e-3F), t, F32X8(2.42546219e-2F));
    r = _mm256_fmadd_ps(r, s, u);
    r = _mm256_fmadd_ps(r, t, F32X8(-1.06777877e-1F));
    r = _mm256_fmadd_ps(r, t, F32X8(-6.34846687e-1F));
    r = _mm256_fmadd_ps(r, t, F32X8(-1.28717512e-1F));
    r = _mm256_fmsub_ps(r, t, t);
    const __m256 large = _mm256_or_ps(_mm256_sub_ps(F32X8(1.0F), exp_f32x8(r)), sign_of(x));
    /* |x| <= 0.93 */
    __m256 q = F32X8(-5.96761703e-4F);
    q = _mm256_fmadd_ps(q, s, F32X8(4.99119423e-3F));
    q = _mm256_fmadd_ps(q, s, F32X8(-2.67681349e-2F));
    q = _mm256_fmadd_ps(q, s, F32X8(1.12819925e-1F));
    q = _mm256_fmadd_ps(q, s, F32X8(-3.76125336e-1F));
    q = _mm256_fmadd_ps(q, s, F32X8(1.28379166e-1F));
    const __m256 small = _mm256_fmadd_ps(q, x, x);
    return _mm256_blendv_ps(small, large, _mm256_cmp_ps(t, F32X8(0.927734375F), _CMP_GT_OQ));
}

static inline __m256 tanh_f32x8(__m256 x)
{
    const __m256 t = absolute(x);
    const __m256 s = _mm256_mul_ps(x, x);
    const __m256 e = exp_f32x8(_mm256_add_ps(t, t));
    const __m256 ratio = _mm256_div_ps(F32X8(2.0F), _mm256_add_ps(e, F32X8(1.0F)));
    const __m256 large = _mm256_or_ps(_mm256_sub_ps(F32X8(1.0F), ratio), sign_of(x));
    __m256 q = F32X8(-5.70498872745e-3F);
    q = _mm256_fmadd_ps(q, s, F32X8(2.06390887954e-2F));
    q = _mm256_fmadd_ps(q, s, F32X8(-5.37397155531e-2F));
    q = _mm256_fmadd_ps(q, s, F32X8(1.33314422036e-1F));
    q = _mm256_fmadd_ps(q, s, F32X8(-3.33332819422e-1F));
    const __m256 odd = _mm256_fmadd_ps(_mm256_mul_ps(q, s), x, x);
    const __m256 small = _mm256_or_ps(odd, sign_of(x)); /* x = -0 */
    return _mm256_blendv_ps(small, large, _mm256_cmp_ps(t, F32X8(0.625F), _CMP_GE_OQ));
}

#endif
