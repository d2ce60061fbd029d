/* Products with bf16 panels by vdpbf16ps; tiles and loops in avx512/dot_tiles.h.
 *
 * Precision: x is rounded to bf16 by the conversion instruction (nearest, ties to even; denormals
 * become zero). The dot instruction adds the pair of products to the float sum in its own order and
 * takes denormals for zero, on the way in and out. Sums of an element: one chain over the pairs of
 * p, ascending. SPDX-License-Identifier: Apache-2.0 */
#include "avx512bf16.h"

#define DOT_WITH_TURNED
#include "../avx512/dot_tiles.h"

AVX512BF16_COMPILED(packed_bf16)

static inline __m512 dot_step(__m512 sum, __m512i x, __m512i w)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w);
}

static inline __m512 dot_begin(const dot_tile *t, int64_t row, int column)
{
    return t->add ? dot_before(t, row, column) : _mm512_setzero_ps();
}

static inline __m512 dot_value(const dot_tile *t, int64_t row, int column, __m512 sum)
{
    (void)t, (void)row, (void)column;
    return sum;
}

/* Rows of x as they are, 32 terms at a time; what lies past K becomes zero. */
static void pack_flat(const dot_product *d, uint32_t *strip, int64_t i, int64_t rows)
{
    for (int64_t chunk = 0; chunk * DOT_CHUNK < d->groups; chunk++) {
        const int64_t p0 = chunk * DOT_CHUNK * 2;
        const int64_t terms = d->k - p0 < DOT_CHUNK * 2 ? d->k - p0 : DOT_CHUNK * 2;
        for (int64_t r = 0; r < rows; r++) {
            const float *x = d->x + (i + r) * d->xi + p0; /* (terms) */
            int64_t p = 0;
            for (; p + 32 <= terms; p += 32) {
                const __m512 low = _mm512_loadu_ps(x + p);
                const __m512 high = _mm512_loadu_ps(x + p + 16);
                _mm512_storeu_si512(strip + p / 2, (__m512i)_mm512_cvtne2ps_pbh(high, low));
            }
            if (p < terms) {
                const __m512 low = _mm512_maskz_loadu_ps(dot_lanes(terms - p), x + p);
                const __m512 high = _mm512_maskz_loadu_ps(dot_lanes(terms - p - 16), x + p + 16);
                _mm512_storeu_si512(strip + p / 2, (__m512i)_mm512_cvtne2ps_pbh(high, low));
            }
            strip += DOT_STRIDE;
        }
    }
}

/* Strips of a transposed x, all of a block at each pair of p: rows of memory are read once. */
static void pack_turned(const dot_product *d, int64_t first, int64_t last)
{
    /* words 0, 16, 1, 17, ...: the pair of each row */
    const __m512i one = _mm512_set1_epi32(0x00100000);
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i pairs = _mm512_add_epi32(one, _mm512_or_epi32(lane, _mm512_slli_epi32(lane, 16)));
    for (int64_t group = 0; group < d->groups; group++) {
        const float *x = d->x + 2 * group * d->xp;
        const int whole = 2 * group + 1 < d->k;
        for (int64_t s = first; s < last; s++) {
            const int64_t i = dot_strip_row(d, s);
            const int64_t rows = dot_strip_row(d, s + 1) - i;
            const __mmask16 lanes = dot_lanes(rows);
            const __m512 low = _mm512_maskz_loadu_ps(lanes, x + i);
            const __m512 high =
                whole ? _mm512_maskz_loadu_ps(lanes, x + d->xp + i) : _mm512_setzero_ps();
            const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(high, low);
            /* the lanes past `rows` are the next group's, written next */
            _mm512_storeu_si512(dot_strip(d, s, first) + group * rows,
                                _mm512_permutexvar_epi16(pairs, both));
        }
    }
}

static void dot_pack(const dot_product *d, int64_t first, int64_t last)
{
    if (d->turned) {
        pack_turned(d, first, last);
        return;
    }
    for (int64_t s = first; s < last; s++) {
        const int64_t i = dot_strip_row(d, s);
        pack_flat(d, dot_strip(d, s, first), i, dot_strip_row(d, s + 1) - i);
    }
}

void mtf_packed_bf16_f32_avx512bf16(mtf_real *y, int64_t ldy, const mtf_real *x, int64_t xi,
                                    int64_t xp, const uint16_t *panels, int64_t m, int64_t n,
                                    int64_t k, const mtf_epilogue *e, mtf_real *work)
{
    dot_product d = dot_call_bf16(y, ldy, x, xi, xp, panels, m, n, k, e, work);
    dot_multiply(&d);
}
