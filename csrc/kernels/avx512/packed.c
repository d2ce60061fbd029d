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
#include "transpose.h"

AVX512_COMPILED(packed)

#define STRIP_ROWS   14
#define MOST_STRIPS  16
#define BLOCK_TERMS  1024
#define CHUNK_VALUES 65536 /* of x: a quarter of a second-level cache of 1 MB */
/* Weights are asked for this many terms early: into the second-level cache as far ahead as memory
 * takes, then into the first. */
#define AHEAD_FAR  64
#define AHEAD_NEAR 8

/* y (rows,32), of which the lanes of `lanes` exist, = [y +] strip [K][rows] . w [K][32], one chain.
 * `go_on`: y is added to. Inlined with `rows` known, so that the sums are registers. */
static inline __attribute__((always_inline)) void tile(int rows, float *y, int64_t ldy,
                                                       const __mmask16 lanes[2], const float *strip,
                                                       const float *w, int64_t k, int go_on)
{
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

typedef void (*tile_function)(float *y, int64_t ldy, const __mmask16 lanes[2], const float *strip,
                              const float *w, int64_t k, int go_on);

#define TILE(rows)                                                                                 \
    static void tile_##rows(float *y, int64_t ldy, const __mmask16 lanes[2], const float *strip,   \
                            const float *w, int64_t k, int go_on)                                  \
    {                                                                                              \
        tile(rows, y, ldy, lanes, strip, w, k, go_on);                                             \
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

static const tile_function tiles[STRIP_ROWS + 1] = {NULL,    tile_1,  tile_2,  tile_3,  tile_4,
                                                    tile_5,  tile_6,  tile_7,  tile_8,  tile_9,
                                                    tile_10, tile_11, tile_12, tile_13, tile_14};

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

/* The epilogue on a tile y (rows,32) that was just written, of which the lanes of `lanes` exist; bias
 * (32) or NULL. Inlined with `act` known. */
static inline __attribute__((always_inline)) void finish_with(float *y, float *pre, int64_t ldy,
                                                              int64_t rows,
                                                              const __mmask16 lanes[2],
                                                              const float *bias, mtf_activation act)
{
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

static void finish(float *y, float *pre, int64_t ldy, int64_t rows, const __mmask16 lanes[2],
                   const float *bias, mtf_activation act)
{
    switch (act) {
    case MTF_ACT_NONE:
        finish_with(y, pre, ldy, rows, lanes, bias, MTF_ACT_NONE);
        break;
    case MTF_ACT_GELU:
        finish_with(y, pre, ldy, rows, lanes, bias, MTF_ACT_GELU);
        break;
    default:
        finish_with(y, pre, ldy, rows, lanes, bias, act);
        break;
    }
}

static int64_t at_most(int64_t i, int64_t last)
{
    return i < last ? i : last;
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* All panels over the packed strips of a chunk. last: the sums are complete. */
static void chunk_product(float *y, int64_t ldy, const float *strips, int64_t m, int64_t n,
                          const float *panels, int64_t k_all, int64_t k, int go_on, int last,
                          const mtf_epilogue *e, float *pre)
{
    const int64_t n_strips = ceil_div(m, STRIP_ROWS);
    const int finishes =
        last && !e->add && (e->bias != NULL || e->pre != NULL || e->activation != MTF_ACT_NONE);
    for (int64_t j = 0; j < n; j += MTF_PANEL) {
        const float *w = panels + j * k_all;
        const __mmask16 lanes[2] = {first_lanes(n - j), first_lanes(n - j - 16)};
        for (int64_t s = 0; s < n_strips; s++) {
            const int64_t i = m * s / n_strips;
            const int64_t rows = m * (s + 1) / n_strips - i;
            float *to = y + i * ldy + j;
            int64_t p = 0;
            do {
                tiles[rows](to, ldy, lanes, strips + i * k + p * rows, w + p * MTF_PANEL,
                            at_most(MTF_CHAIN, k - p), go_on || p > 0);
                p += MTF_CHAIN;
            } while (p < k);
            if (finishes) {
                finish(to, pre != NULL ? pre + i * ldy + j : NULL, ldy, rows, lanes,
                       e->bias != NULL ? e->bias + j : NULL, e->activation);
            }
        }
    }
}

void mtf_packed_f32_f32_avx512(float *y, int64_t ldy, const float *x, int64_t xi, int64_t xp,
                               const float *panels, int64_t m, int64_t n, int64_t k,
                               const mtf_epilogue *e, float *work)
{
    const int64_t n_sums = ceil_div(k, MTF_CHAIN);
    const int64_t n_blocks = k > BLOCK_TERMS ? ceil_div(n_sums, BLOCK_TERMS / MTF_CHAIN) : 1;
    const int64_t block = at_most(ceil_div(n_sums, n_blocks) * MTF_CHAIN, k);
    const int64_t most_strips = CHUNK_VALUES / (STRIP_ROWS * (block + 1));
    const int64_t n_chunks = ceil_div(m, STRIP_ROWS * at_most(most_strips, MOST_STRIPS));
    for (int64_t c = 0; c < n_chunks; c++) {
        const int64_t first = m * c / n_chunks;
        const int64_t rows = m * (c + 1) / n_chunks - first;
        for (int64_t b = 0; b < n_blocks; b++) {
            const int64_t p = n_sums * b / n_blocks * MTF_CHAIN; /* blocks are whole chains */
            const int64_t terms = at_most(n_sums * (b + 1) / n_blocks * MTF_CHAIN, k) - p;
            const int64_t n_strips = ceil_div(rows, STRIP_ROWS);
            for (int64_t s = 0; s < n_strips; s++) {
                const int64_t i = rows * s / n_strips;
                strip_load(work + i * terms, x + (first + i) * xi + p * xp, xi, xp,
                           rows * (s + 1) / n_strips - i, terms);
            }
            chunk_product(y + first * ldy, ldy, work, rows, n, panels + p * MTF_PANEL, k, terms,
                          b > 0 || e->add, b + 1 == n_blocks, e,
                          e->pre != NULL ? e->pre + first * ldy : NULL);
        }
    }
}
