/* gelu.h: GELU and its slope for sixteen floats, by tables that one permute looks up.
 *
 *   gelu(x) = max(x, 0) - t tail(t),  t = min(|x|, 6),  tail(t) = erfc(t / sqrt 2) / 2 = Phi(-t)
 *   gelu'(x) = bend(t) for x < 0, 1 - bend(t) else,     bend(t) = tail(t) - t phi(t)
 *
 * Both are polynomials of degree 5 around the sixteen points 0.4 k, fitted for least largest error:
 * no exponential, no division. Coefficient c of segment k is table[c][k]. The first segment has 1/2
 * at 0 and the last has 0 at its end, so that gelu is x/2 next to zero and exact at infinity.
 * tail within 3e-8, |x| tail(|x|) within 4e-8, bend within 7e-8. NaN gives NaN.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX512_GELU_H
#define MTF_KERNELS_AVX512_GELU_H

#include "../../base/compiler.h"

#include <immintrin.h>

#define GELU_DEGREE 5
#define GELU_STEP   0.4F

/* clang-format off */
static const MTF_ALIGNED(64) float gelu_tail[GELU_DEGREE + 1][16] = {
    {0.5F, 0.344578266F, 0.211855397F, 0.115069665F, 0.0547992885F, 0.0227501281F,
     0.0081975339F, 0.00255512982F, 0.000687138177F, 0.00015910888F, 3.16713995e-05F, 5.4126026e-06F,
     7.93344725e-07F, 9.96479699e-08F, 1.07182592e-08F, 0.0F},
    {-0.398942262F, -0.368270129F, -0.289691567F, -0.194186062F, -0.110920839F, -0.0539909601F,
     -0.0223945249F, -0.0079154484F, -0.00238408754F, -0.000611902156F, -0.000133830501F, -2.49426121e-05F,
     -3.96134828e-06F, -5.36116261e-07F, -6.1828807e-08F, -2.51907494e-07F},
    {-4.08636168e-07F, 0.0736515746F, 0.11587403F, 0.116510853F, 0.0887375548F, 0.0539921708F,
     0.0268740673F, 0.0110816862F, 0.00381437596F, 0.00110127672F, 0.000267585914F, 5.48463104e-05F,
     9.49952846e-06F, 1.39218332e-06F, 1.72810502e-07F, -9.80799177e-06F},
    {0.0664990991F, 0.0515566915F, 0.0173823461F, -0.0142387394F, -0.0288386382F, -0.0269957017F,
     -0.0177668501F, -0.00902391504F, -0.00367154437F, -0.00121967297F, -0.000334527111F, -7.63004427e-05F,
     -1.45432014e-05F, -2.32463958e-06F, -3.12425414e-07F, -0.000137557872F},
    {-7.72514832e-05F, -0.0172675904F, -0.0226158369F, -0.0150945773F, -0.00331296003F, 0.00441859337F,
     0.00613867631F, 0.004465912F, 0.0023124516F, 0.000923961692F, 0.000294927799F, 7.66151206e-05F,
     1.63811674e-05F, 2.90429011e-06F, 4.29205755e-07F, -0.00078564568F},
    {-0.00971084274F, -0.00629155291F, 0.00100292987F, 0.00570479129F, 0.00533426367F, 0.00225888263F,
     -0.000279826112F, -0.00113664637F, -0.000920143386F, -0.000477421214F, -0.00018382413F, -5.53734062e-05F,
     -1.33938265e-05F, -2.6410587e-06F, -4.28688026e-07F, -0.00157126528F},
};
static const MTF_ALIGNED(64) float gelu_bend[GELU_DEGREE + 1][16] = {
    {0.5F, 0.197270244F, -0.019897813F, -0.117953598F, -0.122674063F, -0.0852318108F,
     -0.0455493331F, -0.019608127F, -0.0069419397F, -0.0020437371F, -0.000503649819F, -0.000104334642F,
     -1.82210642e-05F, -2.68814529e-06F, -3.35521406e-07F, 0.0F},
    {-0.797884524F, -0.677617013F, -0.393980563F, -0.108744241F, 0.0621156618F, 0.107981965F,
     0.0842034519F, 0.046226237F, 0.0196448769F, 0.00670643989F, 0.00187362183F, 0.000433001522F,
     8.33460435e-05F, 1.34241727e-05F, 1.81525832e-06F, 9.04444005e-06F},
    {-3.25894439e-06F, 0.282812834F, 0.389329582F, 0.298270494F, 0.127791107F, 6.98660051e-06F,
     -0.0472970009F, -0.0425558984F, -0.0238044057F, -0.00986916572F, -0.0032118056F, -0.000842703215F,
     -0.000180941963F, -3.20912513e-05F, -4.73080354e-06F, 0.000352677569F},
    {0.266031086F, 0.178333893F, -0.00338903395F, -0.129653528F, -0.136179522F, -0.0719931796F,
     -0.0117324125F, 0.0139646316F, 0.0147735048F, 0.00828601234F, 0.00330129662F, 0.0010113233F,
     0.000246577925F, 4.87518046e-05F, 7.90643389e-06F, 0.00494510308F},
    {-0.000616449397F, -0.0985904112F, -0.108729765F, -0.0411573499F, 0.0259784199F, 0.0445257127F,
     0.0272648744F, 0.00641856669F, -0.00313647743F, -0.00395618519F, -0.00219391752F, -0.000832597667F,
     -0.000238931359F, -5.40319525e-05F, -9.84100006e-06F, 0.028244948F},
    {-0.0577440001F, -0.0311446022F, 0.0197309665F, 0.0403687917F, 0.0225571115F, -0.00247870153F,
     -0.011779272F, -0.00788289774F, -0.00202629925F, 0.00064549403F, 0.000883594155F, 0.000465385063F,
     0.000163816556F, 4.31104709e-05F, 8.87426995e-06F, 0.0564873144F},
};
/* clang-format on */

static inline __m512 gelu_reach(__m512 x)
{
    return _mm512_min_ps(_mm512_set1_ps(15 * GELU_STEP), _mm512_abs_ps(x));
}

/* table's function of t, 0 <= t <= 6. The whole number of steps is the last bits of `place`, where
 * the permute reads its four; adding 1.5 * 2^23 rounds to it. */
static inline __m512 gelu_look_up(const float table[GELU_DEGREE + 1][16], __m512 t)
{
    const __m512 round = _mm512_set1_ps(12582912.0F);
    const __m512 place = _mm512_fmadd_ps(t, _mm512_set1_ps(1.0F / GELU_STEP), round);
    const __m512 steps = _mm512_sub_ps(place, round);
    const __m512 r = _mm512_fnmadd_ps(steps, _mm512_set1_ps(GELU_STEP), t);
    const __m512i k = _mm512_castps_si512(place);
    __m512 p = _mm512_permutexvar_ps(k, _mm512_load_ps(table[GELU_DEGREE]));
    for (int c = GELU_DEGREE - 1; c >= 0; c--) {
        p = _mm512_fmadd_ps(p, r, _mm512_permutexvar_ps(k, _mm512_load_ps(table[c])));
    }
    return p;
}

static inline __m512 gelu_f32x16(__m512 x)
{
    const __m512 t = gelu_reach(x);
    /* in this order max lets NaN through */
    return _mm512_fnmadd_ps(t, gelu_look_up(gelu_tail, t),
                            _mm512_max_ps(_mm512_setzero_ps(), x));
}

static inline __m512 gelu_slope_f32x16(__m512 x)
{
    const __m512 bend = gelu_look_up(gelu_bend, gelu_reach(x));
    const __mmask16 below = _mm512_movepi32_mask(_mm512_castps_si512(x));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512 slope = _mm512_mask_mov_ps(_mm512_sub_ps(_mm512_set1_ps(1.0F), bend), below, bend);
    return _mm512_mask_mov_ps(slope, nan, x);
}

#endif
