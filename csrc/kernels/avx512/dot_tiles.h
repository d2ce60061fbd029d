/* dot_tiles.h: products whose terms come in groups of 32 bits, a pair of bf16 or four bytes, as the
 * dot instructions of AVX-512 take them. For one file of an AVX-512 folder each, which defines the
 * functions declared below.
 *
 * Up to DOT_ROWS rows of x are a strip, in `work` as the file's dot_pack leaves it; a tile is a
 * strip times a panel: two vectors of 16 columns for each row, all in registers for the whole of k.
 * Each panel meets the strips of a block while it is in the first cache, so they come from memory
 * once a block. M is cut into strips of nearly equal height; the loop over k is the same for each
 * height, so a row's bits are its own.
 *
 * flat strips    [k / DOT_CHUNK][row][DOT_STRIDE]: rows stay rows, the constant stride is part of
 *                the instruction; 13 cache lines, so that rows spread over the first cache.
 * turned strips  [group][row]: for a transposed x, whose neighbouring rows come together.
 * Sums are named one by one: compilers spill arrays of them, and integer ones altogether (gcc 12),
 * hence __m512 for the sums of bytes, too.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX512_DOT_TILES_H
#define MTF_KERNELS_AVX512_DOT_TILES_H

#include "dot_product.h"

#define DOT_ROWS   14 /* 28 sums, two vectors of weights, one of x: 31 of 32 registers */
#define DOT_CHUNK  192
#define DOT_STRIDE 208
/* Weights are asked for this early: at 8 to 32 rows they come from the third cache or memory. */
#define DOT_AHEAD (32 * MTF_PANEL)
/* Most groups of x in a block: 320 KB, a good third of the second cache. */
#define DOT_BLOCK 81920
/* Rows of a block at most: strips take DOT_STRIDE groups a row or more. */
#define DOT_MOST_ROWS 400

/* What the including file defines: one step of a sum, where sums begin (16 columns from `column`
 * on), what they are worth at the end, and strips number first .. last-1 of x, s at dot_strip(). */
static inline __m512 dot_step(__m512 sum, __m512i x, __m512i w);
static inline __m512 dot_begin(const dot_tile *t, int64_t row, int column);
static inline __m512 dot_value(const dot_tile *t, int64_t row, int column, __m512 sum);
static void dot_pack(const dot_product *d, int64_t first, int64_t last);

/* First row of strip s. */
static inline int64_t dot_strip_row(const dot_product *d, int64_t s)
{
    return d->m * s / d->n_strips;
}

/* Groups of 32 bits from one strip to the next; a turned strip may be overwritten up to the end of
 * its last vector. */
static inline int64_t dot_strip_size(const dot_product *d)
{
    const int64_t chunks = (d->groups + DOT_CHUNK - 1) / DOT_CHUNK;
    return d->turned ? (DOT_ROWS * d->groups + 16 + 15) / 16 * 16 : DOT_ROWS * DOT_STRIDE * chunks;
}

static inline uint32_t *dot_strip(const dot_product *d, int64_t s, int64_t first)
{
    return d->work + (s - first) * dot_strip_size(d);
}

/* clang-format off */
#define DOT_ROWS_1(DO) DO(0)
#define DOT_ROWS_2(DO) DOT_ROWS_1(DO) DO(1)
#define DOT_ROWS_3(DO) DOT_ROWS_2(DO) DO(2)
#define DOT_ROWS_4(DO) DOT_ROWS_3(DO) DO(3)
#define DOT_ROWS_5(DO) DOT_ROWS_4(DO) DO(4)
#define DOT_ROWS_6(DO) DOT_ROWS_5(DO) DO(5)
#define DOT_ROWS_7(DO) DOT_ROWS_6(DO) DO(6)
#define DOT_ROWS_8(DO) DOT_ROWS_7(DO) DO(7)
#define DOT_ROWS_9(DO) DOT_ROWS_8(DO) DO(8)
#define DOT_ROWS_10(DO) DOT_ROWS_9(DO) DO(9)
#define DOT_ROWS_11(DO) DOT_ROWS_10(DO) DO(10)
#define DOT_ROWS_12(DO) DOT_ROWS_11(DO) DO(11)
#define DOT_ROWS_13(DO) DOT_ROWS_12(DO) DO(12)
#define DOT_ROWS_14(DO) DOT_ROWS_13(DO) DO(13)

/* y is asked for at the beginning, since most of it has left the caches of long products. */
#define DOT_BEGIN(i)                                                            \
    _mm_prefetch((const char *)(t->y + (i) * t->ldy), _MM_HINT_T0);             \
    _mm_prefetch((const char *)(t->y + (i) * t->ldy + 16), _MM_HINT_T0);        \
    __m512 low##i = dot_begin(t, i, 0), high##i = dot_begin(t, i, 16);
#define DOT_STEP(i, offset) {                                                   \
        const __m512i factor = _mm512_set1_epi32((int)x[offset]);               \
        low##i = dot_step(low##i, factor, w0);                                  \
        high##i = dot_step(high##i, factor, w1);                                \
    }
#define DOT_STEP_FLAT(i)   DOT_STEP(i, (i) * DOT_STRIDE)
#define DOT_STEP_TURNED(i) DOT_STEP(i, i)
#define DOT_END(i)                                                              \
    dot_store(t, i, 0, dot_value(t, i, 0, low##i));                             \
    dot_store(t, i, 16, dot_value(t, i, 16, high##i));

/* The tiles of `rows` rows, flat and turned. */
#define DOT_FLAT(rows)                                                          \
    static void dot_flat_##rows(const dot_tile *t)                              \
    {                                                                           \
        const uint32_t *strip = t->x, *w = t->w;                                \
        DOT_ROWS_##rows(DOT_BEGIN)                                              \
        for (int64_t left = t->groups; left > 0; left -= DOT_CHUNK) {           \
            const uint32_t *x = strip;                                          \
            const uint32_t *end = x + (left < DOT_CHUNK ? left : DOT_CHUNK);    \
            for (; x < end; x++, w += MTF_PANEL) {                              \
                const __m512i w0 = _mm512_loadu_si512(w);                       \
                const __m512i w1 = _mm512_loadu_si512(w + 16);                  \
                _mm_prefetch((const char *)(w + DOT_AHEAD), _MM_HINT_T0);       \
                _mm_prefetch((const char *)(w + DOT_AHEAD + 16), _MM_HINT_T0);  \
                DOT_ROWS_##rows(DOT_STEP_FLAT)                                  \
            }                                                                   \
            strip += rows * DOT_STRIDE;                                         \
        }                                                                       \
        DOT_ROWS_##rows(DOT_END)                                                \
    }
#define DOT_TURNED(rows)                                                        \
    static void dot_turned_##rows(const dot_tile *t)                            \
    {                                                                           \
        const uint32_t *x = t->x, *w = t->w;                                    \
        const uint32_t *end = w + t->groups * MTF_PANEL;                        \
        DOT_ROWS_##rows(DOT_BEGIN)                                              \
        for (; w < end; x += rows, w += MTF_PANEL) {                            \
            const __m512i w0 = _mm512_loadu_si512(w);                           \
            const __m512i w1 = _mm512_loadu_si512(w + 16);                      \
            _mm_prefetch((const char *)(w + DOT_AHEAD), _MM_HINT_T0);           \
            _mm_prefetch((const char *)(w + DOT_AHEAD + 16), _MM_HINT_T0);      \
            DOT_ROWS_##rows(DOT_STEP_TURNED)                                    \
        }                                                                       \
        DOT_ROWS_##rows(DOT_END)                                                \
    }
#define DOT_ALL(DEFINE) DEFINE(1) DEFINE(2) DEFINE(3) DEFINE(4) DEFINE(5) DEFINE(6) DEFINE(7) \
    DEFINE(8) DEFINE(9) DEFINE(10) DEFINE(11) DEFINE(12) DEFINE(13) DEFINE(14)
#define DOT_NAMES(kind) {NULL, kind##1, kind##2, kind##3, kind##4, kind##5, kind##6, kind##7, \
    kind##8, kind##9, kind##10, kind##11, kind##12, kind##13, kind##14}
/* clang-format on */

typedef void (*dot_tile_function)(const dot_tile *t);

DOT_ALL(DOT_FLAT)
static const dot_tile_function dot_flat[DOT_ROWS + 1] = DOT_NAMES(dot_flat_);
#ifdef DOT_WITH_TURNED
DOT_ALL(DOT_TURNED)
static const dot_tile_function dot_turned[DOT_ROWS + 1] = DOT_NAMES(dot_turned_);
#endif

/* Panel number q times strip number s; the block's first strip is `first`. */
static void dot_one_tile(const dot_product *d, int64_t q, int64_t s, int64_t first)
{
    const int64_t i = dot_strip_row(d, s);
    const int64_t rows = dot_strip_row(d, s + 1) - i;
    const dot_tile t = dot_tile_at(d, q, i, dot_strip_row(d, first), dot_strip(d, s, first));
#ifdef DOT_WITH_TURNED
    if (d->turned) {
        dot_turned[rows](&t);
    } else
#endif
    {
        dot_flat[rows](&t);
    }
    dot_activate(&t, rows, d->e);
}

static void dot_multiply(dot_product *d)
{
    d->n_strips = (d->m + DOT_ROWS - 1) / DOT_ROWS;
    const int64_t room = d->work_groups < DOT_BLOCK ? d->work_groups : DOT_BLOCK;
    int64_t block = room / dot_strip_size(d);
    if (block < 1) {
        block = 1;
    }
    for (int64_t first = 0; first < d->n_strips; first += block) {
        const int64_t last = first + block < d->n_strips ? first + block : d->n_strips;
        dot_pack(d, first, last);
        for (int64_t q = 0; q * MTF_PANEL < d->n; q++) {
            for (int64_t s = first; s < last; s++) {
                dot_one_tile(d, q, s, first);
            }
        }
    }
}

#endif
