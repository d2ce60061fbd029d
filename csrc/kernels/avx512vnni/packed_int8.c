/* Products with int8 panels by vpdpbusd; tiles and loops in avx512/dot_tiles.h.
 *
 * Rows of x are quantised to bytes without sign, q + 128; 128 times the sum of each column of
 * weights is taken off at the end. Sums are exact, so the bits are the reference's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx512vnni.h"

#include "../avx512/dot_tiles.h"

#include <math.h>

AVX512VNNI_COMPILED(packed_int8)

static inline __m512 dot_step(__m512 sum, __m512i x, __m512i w)
{
    return _mm512_castsi512_ps(_mm512_dpbusd_epi32(_mm512_castps_si512(sum), x, w));
}

static inline __m512 dot_begin(const dot_tile *t, int64_t row, int column)
{
    (void)t, (void)row, (void)column;
    return _mm512_setzero_ps(); /* the bits of sixteen zeros */
}

static inline __m512 dot_value(const dot_tile *t, int64_t row, int column, __m512 sum)
{
    const __m512i columns = _mm512_loadu_si512(t->sums + column);
    const __m512i exact = _mm512_sub_epi32(_mm512_castps_si512(sum), _mm512_slli_epi32(columns, 7));
    const __m512 scale = _mm512_loadu_ps(t->scale + column);
    __m512 before = _mm512_setzero_ps();
    if (t->add) {
        before = _mm512_maskz_loadu_ps(dot_lanes(t->width - column), t->y + row * t->ldy + column);
    }
    const __m512 step = _mm512_mul_ps(_mm512_set1_ps(t->row_scale[row]), scale);
    return _mm512_add_ps(before, _mm512_mul_ps(_mm512_cvtepi32_ps(exact), step));
}

/* The largest |x| (k) as bits: ordered as the values are, NaN and infinity above all others. */
static uint32_t largest(const float *x, int64_t k)
{
    const __m512i size = _mm512_set1_epi32(0x7FFFFFFF);
    __m512i most = _mm512_setzero_si512();
    __m512i most_2 = _mm512_setzero_si512();
    int64_t p = 0;
    for (; p + 32 <= k; p += 32) {
        most = _mm512_max_epu32(most, _mm512_and_si512(size, _mm512_loadu_si512(x + p)));
        most_2 = _mm512_max_epu32(most_2, _mm512_and_si512(size, _mm512_loadu_si512(x + p + 16)));
    }
    for (; p < k; p += 16) {
        const __m512i tail = _mm512_maskz_loadu_epi32(dot_lanes(k - p), x + p);
        most = _mm512_max_epu32(most, _mm512_and_si512(size, tail));
    }
    return _mm512_reduce_max_epu32(_mm512_max_epu32(most, most_2));
}

/* The scale of a row whose largest |x| has these bits; *factor makes x a whole number. */
static float scale_of(uint32_t bits, float *factor)
{
    float most;
    memcpy(&most, &bits, sizeof most);
    *factor = 0;
    if (bits >= UINT32_C(0x7F800000)) {
        return NAN;
    }
    if (most < MTF_INT8_LEAST) {
        return 0;
    }
    *factor = 127.0F / most;
    return most / 127.0F;
}

static inline __m512i whole_numbers(__m512 x, __m512 factor)
{
    return _mm512_cvtps_epi32(_mm512_mul_ps(x, factor));
}

/* 64 terms from x, `left` of which exist, as bytes; the others are 128, zero. */
static inline __m512i quantise(const float *x, int64_t left, __m512 factor)
{
    __m512 part[4];
    for (int i = 0; i < 4; i++) {
        part[i] = left >= 64 ? _mm512_loadu_ps(x + 16 * i)
                             : _mm512_maskz_loadu_ps(dot_lanes(left - 16 * i), x + 16 * i);
    }
    /* both packs interleave quarters of their operands */
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i low =
        _mm512_packs_epi32(whole_numbers(part[0], factor), whole_numbers(part[1], factor));
    const __m512i high =
        _mm512_packs_epi32(whole_numbers(part[2], factor), whole_numbers(part[3], factor));
    const __m512i bytes = _mm512_permutexvar_epi32(order, _mm512_packs_epi16(low, high));
    return _mm512_xor_si512(bytes, _mm512_set1_epi8((char)0x80));
}

static void pack_row(const dot_product *d, uint32_t *strip, int64_t rows, const float *x,
                     float *scale)
{
    float factor;
    *scale = scale_of(largest(x, d->k), &factor);
    /* a row that is not finite: zeros, whatever it holds */
    const int64_t k = isnan(*scale) ? 0 : d->k;
    const __m512 factors = _mm512_set1_ps(factor);
    for (int64_t group = 0; group < d->groups; group += 16) {
        uint32_t *to = strip + group / DOT_CHUNK * rows * DOT_STRIDE + group % DOT_CHUNK;
        _mm512_storeu_si512(to, quantise(x + 4 * group, k - 4 * group, factors));
    }
}

static void dot_pack(const dot_product *d, int64_t first, int64_t last)
{
    float *scale = d->row_scale;
    for (int64_t s = first; s < last; s++) {
        const int64_t i = dot_strip_row(d, s);
        const int64_t rows = dot_strip_row(d, s + 1) - i;
        for (int64_t r = 0; r < rows; r++) {
            const float *x = d->x + (i + r) * d->xi;
            if (d->xp != 1) { /* rare: gathered behind the strips, at the end of work */
                float *row = (float *)(d->work + d->work_groups);
                for (int64_t p = 0; p < d->k; p++) {
                    row[p] = x[p * d->xp];
                }
                x = row;
            }
            pack_row(d, dot_strip(d, s, first) + r * DOT_STRIDE, rows, x, scale++);
        }
    }
}

void mtf_packed_int8_f32_avx512vnni(mtf_real *y, int64_t ldy, const mtf_real *x, int64_t xi,
                                    int64_t xp, const int8_t *panels, const float *scale,
                                    const int32_t *sums, int64_t m, int64_t n, int64_t k,
                                    const mtf_epilogue *e, mtf_real *work)
{
    uint32_t *aligned = (uint32_t *)(((uintptr_t)work + 63) & ~(uintptr_t)63);
    /* the scales of a block's rows first, the values of one row last */
    const int64_t room = (int64_t)mtf_packed_work(k) - 16 - DOT_MOST_ROWS - k;
    dot_product d = {
        .y = y,
        .x = x,
        .ldy = ldy,
        .xi = xi,
        .xp = xp,
        .m = m,
        .n = n,
        .k = k,
        .panels = (const uint32_t *)panels,
        .groups = (k + 3) / 4,
        .e = e,
        .work = aligned + DOT_MOST_ROWS,
        .work_groups = room,
        .row_scale = (float *)aligned,
        .scale = scale,
        .sums = sums,
    };
    dot_multiply(&d);
}
