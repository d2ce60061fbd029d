/* Products with bf16 panels by tdpbf16ps; loops in tile_product.h.
 *
 * Precision: x is rounded to bf16 by the conversion instruction (denormals become zero). A tile
 * instruction adds up the even and the odd terms of its 32 in float, adds both and then the sum so
 * far; denormals count as zero. SPDX-License-Identifier: Apache-2.0 */
#include "amx.h"

#define TILE_SUMS_ARE_VALUES 1 /* of y as they are: adding begins with what it holds */
#define TILE_DOT(sums, x, w) tile_dot_bf16(sums, x, w)
#include "tile_product.h"

#include "../avx512/transpose.h"
#include "rounding.h"

AMX_COMPILED(packed_bf16)

static inline __m512 tile_value(const dot_tile *t, int64_t row, int column, __m512 sums)
{
    (void)t, (void)row, (void)column;
    return sums;
}

/* 32 terms of `rows` (at most 16) rows of a transposed x: pairs of all rows together first, then
 * transposed; `left` terms exist. to [16][16] groups. */
static void round_turned(uint32_t *to, const float *x, int64_t xp, int64_t rows, int64_t left)
{
    /* words 0, 16, 1, 17, ...: the pair of each row */
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i order =
        _mm512_or_epi32(lane, _mm512_slli_epi32(_mm512_add_epi32(lane, _mm512_set1_epi32(16)), 16));
    const __mmask16 lanes = dot_lanes(rows);
    MTF_ALIGNED(64) float pairs[STEP_GROUPS][16]; /* moved as they are, never computed with */
    const float *row[16];
    for (int64_t g = 0; g < STEP_GROUPS; g++) {
        const __mmask16 even = 2 * g < left ? lanes : 0;
        const __mmask16 odd = 2 * g + 1 < left ? lanes : 0;
        const __m512 low = _mm512_maskz_loadu_ps(even, x + (even ? 2 * g * xp : 0));
        const __m512 high = _mm512_maskz_loadu_ps(odd, x + (odd ? (2 * g + 1) * xp : 0));
        const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(high, low);
        _mm512_storeu_si512(pairs[g], _mm512_permutexvar_epi16(order, both));
        row[g] = pairs[g];
    }
    for (int r = 0; r < 16; r += 4) {
        __m512 column[4];
        four_columns(column, row, r);
        for (int c = 0; c < 4; c++) {
            _mm512_storeu_ps(to + (r + c) * STEP_GROUPS, column[c]);
        }
    }
}

static void tile_pack(const dot_product *d, uint32_t *strip, int64_t s, int64_t rows,
                      int64_t in_block)
{
    (void)in_block;
    const float *x = d->x + s * STRIP_ROWS * d->xi;
    for (int64_t p = 0; p < d->k; p += 2 * STEP_GROUPS) {
        for (int64_t r = 0; d->turned && r < STRIP_ROWS; r += 16) {
            const int64_t some = rows > r ? rows - r : 0;
            round_turned(strip + r * STEP_GROUPS, x + p * d->xp + (some ? r : 0), d->xp, some,
                         d->k - p);
        }
        for (int64_t r = 0; !d->turned && r < STRIP_ROWS; r++) {
            const int64_t left = r < rows ? d->k - p : 0;
            _mm512_storeu_si512(strip + r * STEP_GROUPS,
                                round_32(x + (left ? r * d->xi + p : 0), left));
        }
        strip += STEP_SIZE;
    }
}

void mtf_packed_bf16_f32_amx(mtf_real *y, int64_t ldy, const mtf_real *x, int64_t xi, int64_t xp,
                             const uint16_t *panels, int64_t m, int64_t n, int64_t k,
                             const mtf_epilogue *e, mtf_real *work)
{
    const dot_product d = dot_call_bf16(y, ldy, x, xi, xp, panels, m, n, k, e, work);
    tile_multiply_all(&d);
}
