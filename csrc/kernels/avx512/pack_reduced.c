/* Packing of weights into bf16 and int8 panels; layouts and rules in kernels.def, the bits are
 * those of ref/pack.c. Bound by memory.
 *
 * Sixteen columns of the product at a time, four terms at a time: rows of the weight are transposed
 * in registers (transpose.h), a transposed weight is read as it lies. Rounding to bf16 is done on
 * integers, since the conversion instruction loses denormals.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx512.h"
#include "transpose.h"

#include <math.h>

AVX512_COMPILED(pack_reduced)

#define PANELS_AT_ONCE 8

/* Sixteen columns of the product; `columns` of them exist. */
typedef struct source {
    const float *w;       /* transposed: (K,columns) */
    const float *row[16]; /* else: (K) each; past `columns`, the last one again */
    int64_t ldw, columns, k;
    __mmask16 exist;
    int transposed;
} source;

static source source_of(const float *w, int64_t ldw, int transposed, int64_t n, int64_t k,
                        int64_t j)
{
    source s;
    s.columns = n - j < 0 ? 0 : n - j < 16 ? n - j : 16;
    s.exist = first_lanes(s.columns);
    s.transposed = transposed;
    s.ldw = ldw;
    s.k = k;
    s.w = s.columns > 0 ? w + j : w;
    for (int64_t r = 0; r < 16; r++) {
        const int64_t row = r < s.columns ? j + r : n - 1;
        s.row[r] = transposed ? w : w + row * ldw;
    }
    return s;
}

/* term[c] = terms p + c of the sixteen columns; zeros where there are none. */
static inline void four_terms(__m512 term[4], const source *s, int64_t p)
{
    if (s->transposed) {
        for (int c = 0; c < 4; c++) {
            const __mmask16 lanes = p + c < s->k ? s->exist : 0;
            term[c] = _mm512_maskz_loadu_ps(lanes, s->w + (lanes ? (p + c) * s->ldw : 0));
        }
        return;
    }
    if (p + 4 <= s->k) {
        four_columns(term, s->row, p);
        for (int c = 0; c < 4; c++) {
            term[c] = _mm512_maskz_mov_ps(s->exist, term[c]);
        }
        return;
    }
    for (int c = 0; c < 4; c++) {
        float lane[16] = {0};
        for (int64_t r = 0; p + c < s->k && r < s->columns; r++) {
            lane[r] = s->row[r][p + c];
        }
        term[c] = _mm512_loadu_ps(lane);
    }
}

/* The bf16 of each lane in its upper half; the lower is anything. */
static inline __m512i round_lanes(__m512 x)
{
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i rounded = _mm512_add_epi32(bits, half);
    return _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
}

static inline __m512i round_pair(__m512 even, __m512 odd)
{
    const __m512i low = _mm512_srli_epi32(round_lanes(even), 16);
    return _mm512_mask_blend_epi16(0xAAAAAAAA, low, round_lanes(odd));
}

/* to: panels number first .. last-1 of a transposed w (K,N). Some panels at each pair of terms, so
 * that rows of w are read in long pieces: they are pages apart. */
static void pack_bf16_transposed(uint16_t *panels, const float *w, int64_t ldw, int64_t n,
                                 int64_t k, int64_t first, int64_t last)
{
    const int64_t pairs = (k + 1) / 2;
    for (int64_t pair = 0; pair < pairs; pair++) {
        const float *row = w + 2 * pair * ldw;
        const int whole = 2 * pair + 1 < k;
        for (int64_t half = 2 * first; half < 2 * last; half++) {
            const int64_t j = half * 16;
            const __mmask16 lanes = first_lanes(n - j);
            const __m512 even = _mm512_maskz_loadu_ps(lanes, row + j);
            const __m512 odd =
                whole ? _mm512_maskz_loadu_ps(lanes, row + ldw + j) : _mm512_setzero_ps();
            _mm512_storeu_si512(panels + (half / 2 * pairs + pair) * 2 * MTF_PANEL +
                                    half % 2 * MTF_PANEL,
                                round_pair(even, odd));
        }
    }
}

static void pack_bf16_rows(uint16_t *panels, const float *w, int64_t ldw, int64_t n, int64_t k,
                           int64_t first, int64_t last)
{
    const int64_t pairs = (k + 1) / 2;
    for (int64_t half = 2 * first; half < 2 * last; half++) {
        const source s = source_of(w, ldw, 0, n, k, half * 16);
        uint16_t *to = panels + half / 2 * pairs * 2 * MTF_PANEL + half % 2 * MTF_PANEL;
        for (int64_t pair = 0; pair < pairs; pair += 2) {
            __m512 term[4];
            four_terms(term, &s, 2 * pair);
            _mm512_storeu_si512(to + pair * 2 * MTF_PANEL, round_pair(term[0], term[1]));
            if (pair + 1 < pairs) {
                _mm512_storeu_si512(to + (pair + 1) * 2 * MTF_PANEL, round_pair(term[2], term[3]));
            }
        }
    }
}

void mtf_pack_bf16_f32_avx512(uint16_t *panels, const float *w, int64_t ldw, int transposed,
                              int64_t n, int64_t k, int64_t first, int64_t last)
{
    if (!transposed) {
        pack_bf16_rows(panels, w, ldw, n, k, first, last);
        return;
    }
    for (; first < last; first += PANELS_AT_ONCE) {
        const int64_t end = first + PANELS_AT_ONCE < last ? first + PANELS_AT_ONCE : last;
        pack_bf16_transposed(panels, w, ldw, n, k, first, end);
    }
}

/* Scales of sixteen columns: largest size / 127, 0 for a column below MTF_INT8_LEAST, NaN for one
 * that is not finite. */
static __m512 scales_of(const source *s)
{
    const __m512i size = _mm512_set1_epi32(0x7FFFFFFF);
    __m512i most = _mm512_setzero_si512(); /* bits are ordered as values are, NaN above all */
    for (int64_t p = 0; p < s->k; p += 4) {
        __m512 term[4];
        four_terms(term, s, p);
        for (int c = 0; c < 4; c++) {
            most = _mm512_max_epu32(most, _mm512_and_si512(size, _mm512_castps_si512(term[c])));
        }
    }
    const __mmask16 odd = _mm512_cmpge_epu32_mask(most, _mm512_set1_epi32(0x7F800000));
    const __m512 value = _mm512_castsi512_ps(most);
    const __mmask16 some = _mm512_cmp_ps_mask(value, _mm512_set1_ps(MTF_INT8_LEAST), _CMP_GE_OQ);
    const __m512 scale = _mm512_maskz_div_ps(some, value, _mm512_set1_ps(127.0F));
    return _mm512_mask_mov_ps(scale, odd, _mm512_set1_ps(NAN));
}

/* to [K/4][32][4], of which sixteen columns are written; their sums. */
static __m512i quantise_columns(int8_t *to, const source *s, __m512 scale)
{
    const __m512i byte = _mm512_set1_epi32(0xFF);
    const __mmask16 some = _mm512_cmp_ps_mask(scale, _mm512_setzero_ps(), _CMP_GT_OQ);
    __m512i sum = _mm512_setzero_si512();
    for (int64_t p = 0; p < s->k; p += 4) {
        __m512 term[4];
        __m512i four = _mm512_setzero_si512();
        four_terms(term, s, p);
        for (int c = 3; c >= 0; c--) {
            const __m512 ratio = _mm512_maskz_div_ps(some, term[c], scale);
            const __m512i q = _mm512_cvtps_epi32(ratio); /* nearest, ties to even */
            sum = _mm512_add_epi32(sum, q);
            four = _mm512_or_si512(_mm512_slli_epi32(four, 8), _mm512_and_si512(q, byte));
        }
        _mm512_storeu_si512(to + p * MTF_PANEL, four);
    }
    return sum;
}

void mtf_pack_int8_f32_avx512(int8_t *panels, float *scale, int32_t *sums, const float *w,
                              int64_t ldw, int transposed, int64_t n, int64_t k, int64_t first,
                              int64_t last)
{
    const int64_t whole = (k + 3) / 4 * 4;
    for (int64_t half = 2 * first; half < 2 * last; half++) {
        const source s = source_of(w, ldw, transposed, n, k, half * 16);
        const __m512 scales = scales_of(&s);
        int8_t *to = panels + half / 2 * whole * MTF_PANEL + half % 2 * 64;
        _mm512_storeu_ps(scale + half * 16, scales);
        _mm512_storeu_si512(sums + half * 16, quantise_columns(to, &s, scales));
    }
}
