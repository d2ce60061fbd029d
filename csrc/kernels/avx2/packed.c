/* The product with packed weights in float.
 *
 *   chunks of rows, then blocks of at most BLOCK_TERMS terms, then panels, then their halves, then
 *   strips of at most 6 rows: a tile of 6 x 16 sums is 12 registers.
 *
 * Strips of a chunk are copied as [term][row] into `work` and stay in the second-level cache while
 * the weights stream by once a chunk. Between blocks of terms the sums wait in y. Strips are cut
 * evenly: 8 rows are 4 and 4. An element is the sum of its chains (kernels.def), the same in every
 * tile, so a row's bits depend on nothing else; the AVX-512 level has the same bits.
 * Goto, van de Geijn 2008, with what they pack first streamed and what they stream packed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "activation.h"
#include "avx2.h"
#include "../packed_loops.h"
#include "transpose.h"

AVX2_COMPILED(packed)

#define STRIP_ROWS   6
#define TILE_COLS    16
#define MOST_STRIPS  32
#define BLOCK_TERMS  1024
#define CHUNK_VALUES 32768 /* of x: half of a second-level cache of 256 KB */
/* Weights are asked for this many terms early: both halves into the second-level cache as far ahead
 * as memory takes, then the own half into the first. */
#define AHEAD_FAR  64
#define AHEAD_NEAR 12

/* y (rows,16), of which `left` columns exist, = [y +] strip [K][rows] . w [K][32], one chain.
 * `go_on`: y is added to. Inlined with `rows` known, so that the sums are registers. */
static inline __attribute__((always_inline)) void tile(int rows, float *y, int64_t ldy,
                                                       int64_t left, const float *strip,
                                                       const float *w, int64_t k, int go_on)
{
    __m256 sums[STRIP_ROWS][2];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        sums[r][0] = _mm256_setzero_ps();
        sums[r][1] = _mm256_setzero_ps();
    }
    for (int64_t p = 0; p < k; p++) {
        const __m256 w0 = _mm256_loadu_ps(w);
        const __m256 w1 = _mm256_loadu_ps(w + 8);
        _mm_prefetch((const char *)(w + AHEAD_FAR * MTF_PANEL), _MM_HINT_T1);
        _mm_prefetch((const char *)(w + AHEAD_FAR * MTF_PANEL + TILE_COLS), _MM_HINT_T1);
        _mm_prefetch((const char *)(w + AHEAD_NEAR * MTF_PANEL), _MM_HINT_T0);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            const __m256 factor = _mm256_broadcast_ss(strip + r);
            sums[r][0] = _mm256_fmadd_ps(factor, w0, sums[r][0]);
            sums[r][1] = _mm256_fmadd_ps(factor, w1, sums[r][1]);
        }
        strip += rows;
        w += MTF_PANEL;
    }
    if (go_on) {
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            sums[r][0] = _mm256_add_ps(load_lanes(y + r * ldy, left), sums[r][0]);
            if (left > 8) {
                sums[r][1] = _mm256_add_ps(load_lanes(y + r * ldy + 8, left - 8), sums[r][1]);
            }
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) {
        store_lanes(y + r * ldy, left, sums[r][0]);
        if (left > 8) {
            store_lanes(y + r * ldy + 8, left - 8, sums[r][1]);
        }
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

/* strip [K][rows] = x, element (r, p) at x[r * xi + p * xp]. Writes 8 values a term, so up to 7 past
 * the end. */
static void strip_load(float *strip, const float *x, int64_t xi, int64_t xp, int64_t rows,
                       int64_t k)
{
    int64_t p = 0;
    if (xp == 1) {
        const float *row[8];
        for (int64_t r = 0; r < 8; r++) {
            row[r] = x + at_most(r, rows - 1) * xi;
        }
        for (; p + 8 <= k; p += 8) {
            __m256 column[8];
            eight_columns(column, row, p);
            for (int c = 0; c < 8; c++) {
                _mm256_storeu_ps(strip + (p + c) * rows, column[c]);
            }
        }
    } else if (xi == 1) {
        const __m256i lanes = first_lanes(rows);
        for (; p < k; p++) {
            _mm256_storeu_ps(strip + p * rows, _mm256_maskload_ps(x + p * xp, lanes));
        }
    }
    for (; p < k; p++) {
        for (int64_t r = 0; r < rows; r++) {
            strip[p * rows + r] = x[r * xi + p * xp];
        }
    }
}

/* The epilogue on a tile y (rows,width), width <= 16, that was just written; bias (width) or NULL.
 * Inlined with `act` known. */
static inline __attribute__((always_inline)) void finish_with(float *y, float *pre, int64_t ldy,
                                                              int64_t rows, int64_t width,
                                                              const float *bias, mtf_activation act)
{
    for (int64_t c = 0; c < width; c += 8) {
        const __m256 b = bias != NULL ? load_lanes(bias + c, width - c) : _mm256_setzero_ps();
        for (int64_t r = 0; r < rows; r++) {
            __m256 value = load_lanes(y + r * ldy + c, width - c);
            value = bias != NULL ? _mm256_add_ps(value, b) : value; /* -0 stays */
            if (pre != NULL) {
                store_lanes(pre + r * ldy + c, width - c, value);
            }
            store_lanes(y + r * ldy + c, width - c, activate(value, act));
        }
    }
}

static void finish(float *y, float *pre, int64_t ldy, int64_t rows, int64_t left, const float *bias,
                   mtf_activation act)
{
    const int64_t width = at_most(TILE_COLS, left);
    switch (act) {
    case MTF_ACT_NONE:
        finish_with(y, pre, ldy, rows, width, bias, MTF_ACT_NONE);
        break;
    case MTF_ACT_GELU:
        finish_with(y, pre, ldy, rows, width, bias, MTF_ACT_GELU);
        break;
    default:
        finish_with(y, pre, ldy, rows, width, bias, act);
        break;
    }
}

static const packed_level level = {
    .strip_rows = STRIP_ROWS,
    .tile_columns = TILE_COLS,
    .most_strips = MOST_STRIPS,
    .block_terms = BLOCK_TERMS,
    .chunk_values = CHUNK_VALUES,
    .load = strip_load,
    .tiles = {NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6},
    .finish = finish,
};

void mtf_packed_f32_f32_avx2(float *y, int64_t ldy, const float *x, int64_t xi, int64_t xp,
                             const float *panels, int64_t m, int64_t n, int64_t k,
                             const mtf_epilogue *e, float *work)
{
    packed_product(&level, y, ldy, x, xi, xp, panels, m, n, k, e, work);
}
