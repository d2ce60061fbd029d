/* gelu.h: GELU and its slope for sixteen floats, by tables that one permute looks up.
 *
 *   gelu(x) = max(x, 0) - t tail(t),  t = min(|x|, 5.98),  tail(t) = erfc(t / sqrt 2) / 2 = Phi(-t)
 *   gelu'(x) = bend(t) for x < 0, 1 - bend(t) else,     bend(t) = tail(t) - t phi(t)
 *
 * Both are polynomials of degree 5 around sixteen points, fitted for least largest error:
 * no exponential, no division. Coefficient c of segment k is table[c][k]. The first segment has 1/2
 * at 0 and the last has 0 at its end, so that gelu is x/2 next to zero and exact at infinity.
 * tail within 3e-8, |x| tail(|x|) within 4e-8, bend within 7e-8. NaN gives NaN.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX512_GELU_H
#define MTF_KERNELS_AVX512_GELU_H

#include "../../base/compiler.h"

#include <immintrin.h>

#define GELU_DEGREE 5
#define GELU_STEP   0.3984375F /* 51/128: its multiples are exact */

/* clang-format off */
static const MTF_ALIGNED(64) float gelu_tail[GELU_DEGREE + 1][16] = {
    {0.5F, 0.345153868F, 0.212761819F, 0.11598248F, 0.0554960184F, 0.0231752414F,
     0.00840985961F, 0.00264304294F, 0.000717542658F, 0.000167935024F, 3.38291466e-05F, 5.85790895e-06F,
     8.71060365e-07F, 1.11132934e-07F, 1.21569741e-08F, 0.0F},
    {-0.398942262F, -0.368499935F, -0.290415287F, -0.1952793F, -0.112033427F, -0.0548395254F,
     -0.022903109F, -0.00816112198F, -0.00248119049F, -0.000643613632F, -0.000142444449F, -2.68980803e-05F,
     -4.33364175e-06F, -5.95718916e-07F, -6.98694436e-08F, -2.9203224e-07F},
    {-4.00755766e-07F, 0.073409684F, 0.115709774F, 0.116709098F, 0.0892774835F, 0.0546265058F,
     0.027377015F, 0.0113810077F, 0.00395423779F, 0.00115383195F, 0.000283699628F, 5.89162555e-05F,
     1.03520188e-05F, 1.54098348e-06F, 1.94533271e-07F, -1.14172526e-05F},
    {0.066498965F, 0.0516654924F, 0.0176672861F, -0.0139534967F, -0.0287551899F, -0.0271349009F,
     -0.0179988798F, -0.00922083855F, -0.00378806982F, -0.00127204682F, -0.00035310004F, -8.16068787e-05F,
     -1.57806626e-05F, -2.56225417e-06F, -3.50229413e-07F, -0.000160750278F},
    {-7.63557327e-05F, -0.0172196236F, -0.0226324089F, -0.015228332F, -0.00347972242F, 0.004329741F,
     0.006151143F, 0.00452794088F, 0.00237029372F, 0.000957945769F, 0.000309564173F, 8.14997038e-05F,
     1.76800531e-05F, 3.1840766e-06F, 4.78554512e-07F, -0.000921713887F},
    {-0.00971287396F, -0.00631732401F, 0.00094926625F, 0.00568049075F, 0.00537083903F, 0.00232165377F,
     -0.000239883622F, -0.00113206939F, -0.000933706353F, -0.000491242856F, -0.000191714862F, -5.8566784e-05F,
     -1.43792604e-05F, -2.88098704e-06F, -4.75684089e-07F, -0.00185061886F},
};
static const MTF_ALIGNED(64) float gelu_bend[GELU_DEGREE + 1][16] = {
    {0.5F, 0.198329702F, -0.0186628178F, -0.117437288F, -0.123057261F, -0.0860753879F,
     -0.0463428907F, -0.0201188363F, -0.00719124964F, -0.00214002165F, -0.000533722166F, -0.00011203107F,
     -1.98490998e-05F, -2.97449265e-06F, -3.77581728e-07F, 0.0F},
    {-0.797884524F, -0.678499579F, -0.396414071F, -0.111549057F, 0.0605024099F, 0.107968695F,
     0.0850870982F, 0.0471620746F, 0.0202468988F, 0.00698895939F, 0.00197644625F, 0.000462887983F,
     9.04005428e-05F, 1.47910123e-05F, 2.03424406e-06F, 1.04031024e-05F},
    {-3.19617538e-06F, 0.281975746F, 0.389355153F, 0.300088257F, 0.130350515F, 0.0017107242F,
     -0.0469525233F, -0.0430094786F, -0.0243613981F, -0.0102234753F, -0.00336979353F, -0.000896333426F,
     -0.000195317334F, -3.51957715e-05F, -5.27780821e-06F, 0.000407333631F},
    {0.266030014F, 0.178957134F, -0.00201494922F, -0.128874227F, -0.136837199F, -0.0734006464F,
     -0.0127660977F, 0.0136813447F, 0.0149327097F, 0.00851141289F, 0.00344011094F, 0.00106925401F,
     0.000264708913F, 5.31923943e-05F, 8.77714592e-06F, 0.00573368138F},
    {-0.000609313603F, -0.098356083F, -0.109043427F, -0.0421024077F, 0.02527228F, 0.0446186587F,
     0.0278160498F, 0.00685317395F, -0.00300619821F, -0.00400028704F, -0.00226332853F, -0.000873273821F,
     -0.000254698331F, -5.85685884e-05F, -1.08563081e-05F, 0.0328777209F},
    {-0.0577601828F, -0.0313396454F, 0.019404076F, 0.0403990373F, 0.0229842626F, -0.00211320608F,
     -0.0117563484F, -0.00805867556F, -0.00216697296F, 0.000605036272F, 0.000895428413F, 0.000482967589F,
     0.000173222987F, 4.64124205e-05F, 9.73038004e-06F, 0.0660100877F},
};
/* clang-format on */

static inline __m512 gelu_reach(__m512 x)
{
    return _mm512_min_ps(_mm512_set1_ps(15 * GELU_STEP), _mm512_abs_ps(x));
}

/* table's function of t, t as gelu_reach() gives it. The whole number of steps is the last bits of `place`, where
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
    return _mm512_fnmadd_ps(t, gelu_look_up(gelu_tail, t), _mm512_max_ps(_mm512_setzero_ps(), x));
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
