/* tile_sums.h: sums of products of 32 rows of x with the 32 columns of a panel, in four tiles. For
 * files that define TILE_DOT.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AMX_TILE_SUMS_H
#define MTF_KERNELS_AMX_TILE_SUMS_H

#include "../../base/compiler.h"
#include "../avx512/dot_product.h"
#include "tiles.h"

#include <string.h>

#define STRIP_ROWS  32
#define STEP_GROUPS 16                         /* of 32 bits: a row of a tile */
#define STEP_SIZE   (STRIP_ROWS * STEP_GROUPS) /* groups of a strip in a step */

/* Most groups of x in a block: 1 MB, half of the second cache of the processors that have tiles. */
#define BLOCK_GROUPS 262144
/* Rows of a block at most: work holds fewer for any k. */
#define BLOCK_ROWS 1024

/* Strips of a block where there is room for so many groups. */
static inline int64_t tile_block(int64_t room, int64_t strip_size)
{
    const int64_t strips = (room < BLOCK_GROUPS ? room : BLOCK_GROUPS) / strip_size;
    return strips < 1 ? 1 : strips > BLOCK_ROWS / STRIP_ROWS ? BLOCK_ROWS / STRIP_ROWS : strips;
}

/* The last step of a panel that is not whole into `tail` (STEP_GROUPS * MTF_PANEL), which holds zeros
 * behind it. */
static inline void tile_fill_tail(uint32_t *tail, const uint32_t *panel, int64_t groups)
{
    const int64_t whole = groups / STEP_GROUPS * STEP_GROUPS;
    memcpy(tail, panel + whole * MTF_PANEL, (size_t)((groups - whole) * MTF_PANEL) * sizeof *tail);
}

/* The sums of a tile, float or int32. */
typedef struct tile_sums {
    MTF_ALIGNED(64) float at[STRIP_ROWS][MTF_PANEL];
} tile_sums;

/* Where the rows of a strip lie, 64 bytes a step: the first 16 `stride` bytes apart, the others from
 * `lower` on, those of the next step `step` bytes further. */
typedef struct tile_rows {
    const char *x;
    int64_t stride, lower, step;
} tile_rows;

/* Of a strip that was packed: [step][row][64 bytes]. */
static inline tile_rows tile_rows_packed(const uint32_t *strip)
{
    return (tile_rows){(const char *)strip, TILE_BYTES, (int64_t)TILE_ROWS * TILE_BYTES,
                       STEP_SIZE * (int64_t)sizeof *strip};
}

/* What is multiplied: a strip and a panel, `groups` of k. tail: the last step of the panel, filled up
 * with zeros, where it is not whole. */
typedef struct tile_factors {
    tile_rows x;
    const uint32_t *w, *tail;
    int64_t groups;
    int64_t n_runs,
        jump; /* the rows of x are in so many runs, each `jump` bytes behind the one before */
    const char *ahead; /* fetched on the way: `lines` cache lines a step */
    int64_t lines;
} tile_factors;

static inline void tiles_begin(void)
{
    /* palette 1; all eight tiles are 16 rows of 64 bytes */
    MTF_ALIGNED(64) uint8_t config[64] = {1};
    for (int tile = 0; tile < 8; tile++) {
        config[16 + 2 * tile] = TILE_BYTES;
        config[48 + tile] = TILE_ROWS;
    }
    tiles_fence();
    tiles_configure(config);
}

/* One step: x (32) rows of 64 bytes, w [16] rows of 32 groups. */
static inline void tile_step(const tile_rows *x, const uint32_t *w, int both)
{
    tile_load(4, x->x, x->stride);
    tile_load(6, w, 2 * TILE_BYTES);
    tile_load(7, w + STEP_GROUPS, 2 * TILE_BYTES);
    TILE_DOT(0, 4, 6);
    TILE_DOT(1, 4, 7);
    if (both) { /* more than 16 rows */
        tile_load(5, x->x + x->lower, x->stride);
        TILE_DOT(2, 5, 6);
        TILE_DOT(3, 5, 7);
    }
}

/* Adds the product of two factors to the sums in the tiles; the lower ones with `both` only. */
static inline void tile_add(const tile_factors *f, int both)
{
    tile_rows x = f->x;
    const uint32_t *w = f->w;
    const char *ahead = f->ahead;
    int64_t left = 0;
    for (int64_t run = 0; run < f->n_runs; run++) {
        x.x = f->x.x + run * f->jump;
        for (left = f->groups / f->n_runs; left >= STEP_GROUPS; left -= STEP_GROUPS) {
            for (int64_t i = 0; i < f->lines; i++, ahead += TILE_BYTES) {
                _mm_prefetch(ahead, _MM_HINT_T1);
            }
            tile_step(&x, w, both);
            x.x += x.step;
            w += STEP_GROUPS * MTF_PANEL;
        }
    }
    if (left > 0) {
        tile_step(&x, f->tail, both);
    }
}

static inline void tile_clear(void)
{
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
}

/* The sums begin with what lies at (rows,32), rows `stride` bytes apart; whole tiles are read. */
static inline void tile_get(const void *from, int64_t stride, int both)
{
    const char *upper = from;
    const char *lower = upper + TILE_ROWS * stride;
    tile_load(0, upper, stride);
    tile_load(1, upper + TILE_BYTES, stride);
    if (both) {
        tile_load(2, lower, stride);
        tile_load(3, lower + TILE_BYTES, stride);
    }
}

/* The sums to (rows,32), rows `stride` bytes apart; whole tiles are written. */
static inline void tile_put(void *to, int64_t stride, int both)
{
    char *upper = to;
    char *lower = upper + TILE_ROWS * stride;
    tile_store(0, upper, stride);
    tile_store(1, upper + TILE_BYTES, stride);
    if (both) {
        tile_store(2, lower, stride);
        tile_store(3, lower + TILE_BYTES, stride);
    }
}

/* The product of two factors into `to` (rows,32), rows `stride` bytes apart; on top of what is there
 * with `go_on`. Whole tiles are read and written. */
static inline void tile_multiply(void *to, int64_t stride, const tile_factors *f, int both,
                                 int go_on)
{
    tiles_fence();
    tile_clear();
    if (go_on) {
        tile_get(to, stride, both);
    }
    tile_add(f, both);
    tile_put(to, stride, both);
    tiles_fence();
}

#endif
