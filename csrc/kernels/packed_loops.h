/* packed_loops.h: the loops around the tiles of the packed product in float, one for every level.
 *
 *   chunks of rows, then blocks of terms, then columns of a tile's width, then strips, then chains
 *
 * Where a sum is cut stands here alone, because levels promise the same bits (kernels.def): blocks
 * are whole chains, and chains add up in y. Everything is static; a level gives its tiles.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_PACKED_LOOPS_H
#define MTF_KERNELS_PACKED_LOOPS_H

#include "kernels.h"

static inline int64_t at_most(int64_t i, int64_t last)
{
    return i < last ? i : last;
}

static inline int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* What a level brings. `left`: columns of y that exist from the tile's first on. */
typedef struct packed_level {
    int64_t strip_rows, tile_columns; /* of a tile; the width divides MTF_PANEL */
    int64_t most_strips;              /* of a chunk */
    int64_t block_terms;              /* at most in a block, a multiple of MTF_CHAIN */
    int64_t chunk_values;             /* of x at most in a chunk, unless it is one strip */
    /* strip [K][rows] = x, element (r, p) at x[r * xi + p * xp]. May write a register past the end. */
    void (*load)(float *strip, const float *x, int64_t xi, int64_t xp, int64_t rows, int64_t k);
    /* All n_strips strips of m rows of an x whose rows lie side by side (xi = 1), or NULL. */
    void (*load_columns)(float *strips, const float *x, int64_t xp, int64_t m, int64_t n_strips,
                         int64_t k);
    /* y (rows,tile_columns), rows ldy apart, = [y +] strip [K][rows] . w [K][MTF_PANEL]: one chain;
     * by the number of rows. */
    void (*tiles[15])(float *y, int64_t ldy, int64_t left, const float *strip, const float *w,
                      int64_t k, int go_on);
    /* The epilogue on a tile y (rows,tile_columns); pre likewise, bias (tile_columns), or NULL. */
    void (*finish)(float *y, float *pre, int64_t ldy, int64_t rows, int64_t left, const float *bias,
                   mtf_activation act);
} packed_level;

/* All columns y (m,n) over the strips of a chunk, [strip][K][rows], for terms that begin at `panels`
 * [panel][k_all][MTF_PANEL]. last: the sums are complete. pre (m,n) or NULL, that of the chunk. */
static inline __attribute__((always_inline)) void
packed_chunk(const packed_level *level, float *y, int64_t ldy, const float *strips, int64_t m,
             int64_t n, const float *panels, int64_t k_all, int64_t k, int go_on, int last,
             const mtf_epilogue *e, float *pre)
{
    const int64_t n_strips = ceil_div(m, level->strip_rows);
    const int finishes =
        last && !e->add && (e->bias != NULL || e->pre != NULL || e->activation != MTF_ACT_NONE);
    for (int64_t j = 0; j < n; j += level->tile_columns) {
        const float *w = panels + j / MTF_PANEL * MTF_PANEL * k_all + j % MTF_PANEL;
        for (int64_t s = 0; s < n_strips; s++) {
            const int64_t i = m * s / n_strips;
            const int64_t rows = m * (s + 1) / n_strips - i;
            float *to = y + i * ldy + j;
            int64_t p = 0;
            do {
                level->tiles[rows](to, ldy, n - j, strips + i * k + p * rows, w + p * MTF_PANEL,
                                   at_most(MTF_CHAIN, k - p), go_on || p > 0);
                p += MTF_CHAIN;
            } while (p < k);
            if (finishes) {
                level->finish(to, pre != NULL ? pre + i * ldy + j : NULL, ldy, rows, n - j,
                              e->bias != NULL ? e->bias + j : NULL, e->activation);
            }
        }
    }
}

/* The slot packed_f32: y (M,N), panels [panel][K][MTF_PANEL], work: mtf_packed_work(K). */
static inline __attribute__((always_inline)) void
packed_product(const packed_level *level, float *y, int64_t ldy, const float *x, int64_t xi,
               int64_t xp, const float *panels, int64_t m, int64_t n, int64_t k,
               const mtf_epilogue *e, float *work)
{
    const int64_t n_sums = ceil_div(k, MTF_CHAIN);
    const int64_t n_blocks =
        k > level->block_terms ? ceil_div(n_sums, level->block_terms / MTF_CHAIN) : 1;
    const int64_t block = at_most(ceil_div(n_sums, n_blocks) * MTF_CHAIN, k);
    const int64_t most_strips = level->chunk_values / (level->strip_rows * (block + 1));
    const int64_t n_chunks =
        ceil_div(m, level->strip_rows * at_most(most_strips, level->most_strips));
    for (int64_t c = 0; c < n_chunks; c++) {
        const int64_t first = m * c / n_chunks;
        const int64_t rows = m * (c + 1) / n_chunks - first;
        const int64_t n_strips = ceil_div(rows, level->strip_rows);
        for (int64_t b = 0; b < n_blocks; b++) {
            const int64_t p = n_sums * b / n_blocks * MTF_CHAIN; /* blocks are whole chains */
            const int64_t terms = at_most(n_sums * (b + 1) / n_blocks * MTF_CHAIN, k) - p;
            const int by_columns = xi == 1 && xp != 1 && level->load_columns != NULL;
            if (by_columns) {
                level->load_columns(work, x + first + p * xp, xp, rows, n_strips, terms);
            }
            for (int64_t s = 0; !by_columns && s < n_strips; s++) {
                const int64_t i = rows * s / n_strips;
                level->load(work + i * terms, x + (first + i) * xi + p * xp, xi, xp,
                            rows * (s + 1) / n_strips - i, terms);
            }
            packed_chunk(level, y + first * ldy, ldy, work, rows, n, panels + p * MTF_PANEL, k,
                         terms, b > 0 || e->add, b + 1 == n_blocks, e,
                         e->pre != NULL ? e->pre + first * ldy : NULL);
        }
    }
}

#endif
