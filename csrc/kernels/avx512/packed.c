/* The product with packed weights in float.
 *
 *   chunks of rows, then blocks of at most BLOCK_TERMS terms, then panels, then strips of at most 14
 *   rows: a tile of 14 x 32 sums is 28 registers, two hold the weights.
 *
 * Strips of a chunk are copied as [term][row] into `work` and stay in the second-level cache while
 * the weights stream by once a chunk. Between blocks of terms the sums wait in y. Strips are cut
 * evenly: 23 rows are 12 and 11. An element is the sum of its chains (kernels.def), the same in every
 * tile, so a row's bits depend on nothing else.
 * Goto, van de Geijn 2008, with what they pack first streamed and what they stream packed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "avx512.h"
#include "elementary.h"
#include "../packed_loops.h"
#include "transpose.h"

AVX512_COMPILED(packed)

#define STRIP_ROWS   14
#define MOST_STRIPS  16
#define BLOCK_TERMS  1024
#define CHUNK_VALUES 65536 /* of x: a quarter of a second-level cache of 1 MB */
#define COLUMN_TERMS 8     /* of x, that strips take at once */
/* Weights are asked for this many terms early: into the second-level cache as far ahead as memory
 * takes, then into the first. */
#define AHEAD_FAR  64
#define AHEAD_NEAR 8

/* y (rows,32), of which `left` columns exist, = [y +] strip [K][rows] . w [K][32], one chain.
 * `go_on`: y is added to. Inlined with `rows` known, so that the sums are registers. */
static inline __attribute__((always_inline)) void tile(int rows, float *y, int64_t ldy,
                                                       int64_t left, const float *strip,
                                                       const float *w, int64_t k, int go_on)
{
    const __mmask16 lanes[2] = {first_lanes(left), first_lanes(left - 16)};
    __m512 sums[STRIP_ROWS][2];
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) { /* there when the sums are */
        _mm_prefetch((const char *)(y + r * ldy), _MM_HINT_T0);
        _mm_prefetch((const char *)(y + r * ldy + 16), _MM_HINT_T0);
    }
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        sums[r][0] = _mm512_setzero_ps();
        sums[r][1] = _mm512_setzero_ps();
    }
    for (int64_t p = 0; p < k; p++) {
        const __m512 w0 = _mm512_loadu_ps(w);
        const __m512 w1 = _mm512_loadu_ps(w + 16);
        _mm_prefetch((const char *)(w + AHEAD_FAR * MTF_PANEL), _MM_HINT_T1);
        _mm_prefetch((const char *)(w + AHEAD_FAR * MTF_PANEL + 16), _MM_HINT_T1);
        _mm_prefetch((const char *)(w + AHEAD_NEAR * MTF_PANEL), _MM_HINT_T0);
        _mm_prefetch((const char *)(w + AHEAD_NEAR * MTF_PANEL + 16), _MM_HINT_T0);
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++) {
            const __m512 factor = _mm512_set1_ps(strip[r]);
            sums[r][0] = _mm512_fmadd_ps(factor, w0, sums[r][0]);
            sums[r][1] = _mm512_fmadd_ps(factor, w1, sums[r][1]);
        }
        strip += rows;
        w += MTF_PANEL;
    }
    if (go_on) {
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++) {
            const __m512 y0 = _mm512_maskz_loadu_ps(lanes[0], y + r * ldy);
            const __m512 y1 = _mm512_maskz_loadu_ps(lanes[1], y + r * ldy + 16);
            sums[r][0] = _mm512_add_ps(y0, sums[r][0]);
            sums[r][1] = _mm512_add_ps(y1, sums[r][1]);
        }
    }
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        _mm512_mask_storeu_ps(y + r * ldy, lanes[0], sums[r][0]);
        _mm512_mask_storeu_ps(y + r * ldy + 16, lanes[1], sums[r][1]);
    }
}

#define TILE(rows)                                                                                 \
    static void tile_##rows(float *y, int64_t ldy, int64_t left, const float *strip,               \
                            const float *w, int64_t k, int go_on)                                  \
    {                                                                                              \
        tile(rows, y, ldy, left, strip, w, k, go_on);                                              \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
TILE(7)
TILE(8)
TILE(9)
TILE(10)
TILE(11)
TILE(12)
TILE(13)
TILE(14)

/* strip [K][rows] = x, element (r, p) at x[r * xi + p * xp]. Writes 16 values a term, so up to 15
 * past the end. */
static void strip_load(float *strip, const float *x, int64_t xi, int64_t xp, int64_t rows,
                       int64_t k)
{
    if (xp != 1) {
        const __mmask16 lanes = first_lanes(rows);
        for (int64_t p = 0; p < k; p++) {
            if (xi == 1) {
                _mm512_storeu_ps(strip + p * rows, _mm512_maskz_loadu_ps(lanes, x + p * xp));
                continue;
            }
            for (int64_t r = 0; r < rows; r++) {
                strip[p * rows + r] = x[r * xi + p * xp];
            }
        }
        return;
    }
    const float *row[16];
    for (int64_t r = 0; r < 16; r++) {
        row[r] = x + (r < rows ? r : rows - 1) * xi;
    }
    int64_t p = 0;
    for (; p + 4 <= k; p += 4) {
        __m512 column[4];
        four_columns(column, row, p);
        for (int c = 0; c < 4; c++) {
            _mm512_storeu_ps(strip + (p + c) * rows, column[c]);
        }
    }
    for (; p < k; p++) {
        for (int64_t r = 0; r < rows; r++) {
            strip[p * rows + r] = row[r][p];
        }
    }
}

/* Strips of an x that is read by columns: a term's values lie side by side, terms often a power of two
 * apart, so that strip by strip each line would be fetched anew. A few terms at a time all strips
 * take theirs of lines that are there. */
static void strips_load_columns(float *strips, const float *x, int64_t xp, int64_t m,
                                int64_t n_strips, int64_t k)
{
    for (int64_t first = 0; first < k; first += COLUMN_TERMS) {
        const int64_t last = at_most(first + COLUMN_TERMS, k);
        for (int64_t s = 0; s < n_strips; s++) {
            const int64_t i = m * s / n_strips;
            const int64_t rows = m * (s + 1) / n_strips - i;
            const __mmask16 lanes = first_lanes(rows);
            for (int64_t p = first; p < last; p++) {
                _mm512_mask_storeu_ps(strips + i * k + p * rows, lanes,
                                      _mm512_maskz_loadu_ps(lanes, x + i + p * xp));
            }
        }
    }
}

/* The epilogue on a tile y (rows,32) that was just written, of which `left` columns exist; bias
 * (32) or NULL. Inlined with `act` known. */
static inline __attribute__((always_inline)) void finish_with(float *y, float *pre, int64_t ldy,
                                                              int64_t rows, int64_t left,
                                                              const float *bias, mtf_activation act)
{
    const __mmask16 lanes[2] = {first_lanes(left), first_lanes(left - 16)};
    for (int h = 0; h < 2; h++) {
        const __m512 b =
            bias != NULL ? _mm512_maskz_loadu_ps(lanes[h], bias + 16 * h) : _mm512_setzero_ps();
        for (int64_t r = 0; r < rows; r++) {
            float *at = y + r * ldy + 16 * h;
            __m512 value = _mm512_maskz_loadu_ps(lanes[h], at);
            value = bias != NULL ? _mm512_add_ps(value, b) : value; /* -0 stays */
            if (pre != NULL) {
                _mm512_mask_storeu_ps(pre + r * ldy + 16 * h, lanes[h], value);
            }
            _mm512_mask_storeu_ps(at, lanes[h], activate_f32x16(value, act));
        }
    }
}

static void finish(float *y, float *pre, int64_t ldy, int64_t rows, int64_t left, const float *bias,
                   mtf_activation act)
{
    switch (act) {
    case MTF_ACT_NONE:
        finish_with(y, pre, ldy, rows, left, bias, MTF_ACT_NONE);
        break;
    case MTF_ACT_GELU:
        finish_with(y, pre, ldy, rows, left, bias, MTF_ACT_GELU);
        break;
    default:
        finish_with(y, pre, ldy, rows, left, bias, act);
        break;
    }
}

static const packed_level level = {
    .strip_rows = STRIP_ROWS,
    .tile_columns = MTF_PANEL,
    .most_strips = MOST_STRIPS,
    .block_terms = BLOCK_TERMS,
    .chunk_values = CHUNK_VALUES,
    .load = strip_load,
    .load_columns = strips_load_columns,
    .tiles = {NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6, tile_7, tile_8, tile_9, tile_10,
              tile_11, tile_12, tile_13, tile_14},
    .finish = finish,
};

void mtf_packed_f32_f32_avx512(float *y, int64_t ldy, const float *x, int64_t xi, int64_t xp,
                               const float *panels, int64_t m, int64_t n, int64_t k,
                               const mtf_epilogue *e, float *work)
{
    packed_product(&level, y, ldy, x, xi, xp, panels, m, n, k, e, work);
}
