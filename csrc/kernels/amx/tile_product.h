/* tile_product.h: products with bf16 and int8 panels by AMX tiles. For one file each, which defines
 * TILE_DOT and the functions declared below; tiles themselves in tile_sums.h.
 *
 *   strips of 32 rows of x, as [step][row][64 bytes]: 32 bf16 or 64 bytes of k a step;
 *   a panel's rows of 16 groups, 128 bytes apart, are the second operand as they lie;
 *   four tiles hold the sums of 32 rows x 32 columns, two each x and the panel.
 *
 * The last step of k may reach past the end of a panel: it comes from a copy filled up with zeros.
 * Sums begin as zeroed tiles and go to y at once; through a buffer only at edges and where something is
 * added on the way. Each tile instruction adds up its step by itself and then to the sums: one chain of
 * steps for each element, whatever M is.
 * Where no hardware has them the instructions are tested in plain C (tests/c/test_kernels_amx.c).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AMX_TILE_PRODUCT_H
#define MTF_KERNELS_AMX_TILE_PRODUCT_H

#include "tile_sums.h"

/* What the including file defines: strip number s of x, of `rows` rows, written to `strip` with
 * zeros in what is missing; and what sixteen sums (32 bits each) are worth. */
static void tile_pack(const dot_product *d, uint32_t *strip, int64_t s, int64_t rows,
                      int64_t in_block);
static inline __m512 tile_value(const dot_tile *t, int64_t row, int column, __m512 sums);

/* Panel number q with strip number s; `first` is the first strip of the block. */
static void tile_one(const dot_product *d, int64_t q, int64_t s, int64_t first, int64_t strip_size,
                     const uint32_t *tail)
{
    const int64_t i = s * STRIP_ROWS;
    const int64_t rows = d->m - i < STRIP_ROWS ? d->m - i : STRIP_ROWS;
    const dot_tile t = dot_tile_at(d, q, i, first * STRIP_ROWS, d->work + (s - first) * strip_size);
    const tile_factors from = {
        .x = tile_rows_packed(t.x), .w = t.w, .tail = tail, .groups = t.groups, .n_runs = 1};
    const int both = rows > TILE_ROWS;
    const int whole = rows % TILE_ROWS == 0 && t.width == MTF_PANEL;
    if (TILE_SUMS_ARE_VALUES && whole && t.bias == NULL && t.pre == NULL) {
        tile_multiply(t.y, t.ldy * (int64_t)sizeof *t.y, &from, both, t.add);
        dot_activate(&t, rows, d->e);
        return;
    }
    tile_sums sums; /* between tiles and y: an edge, or something is added on the way */
    const int go_on = TILE_SUMS_ARE_VALUES && t.add;
    for (int64_t r = 0; go_on && r < rows; r++) {
        _mm512_storeu_ps(&sums.at[r][0], dot_before(&t, r, 0));
        _mm512_storeu_ps(&sums.at[r][16], dot_before(&t, r, 16));
    }
    for (int64_t r = rows; go_on && r < STRIP_ROWS; r++) {
        _mm512_storeu_ps(&sums.at[r][0], _mm512_setzero_ps());
        _mm512_storeu_ps(&sums.at[r][16], _mm512_setzero_ps());
    }
    tile_multiply(&sums, 2 * TILE_BYTES, &from, both, go_on);
    for (int64_t r = 0; r < rows; r++) {
        for (int column = 0; column < MTF_PANEL; column += 16) {
            const __m512 sixteen = _mm512_loadu_ps(&sums.at[r][column]);
            dot_store(&t, r, column, tile_value(&t, r, column, sixteen));
        }
    }
    dot_activate(&t, rows, d->e);
}

static void tile_multiply_all(const dot_product *d)
{
    const int64_t steps = (d->groups + STEP_GROUPS - 1) / STEP_GROUPS;
    const int64_t strip_size = steps > 0 ? steps * STEP_SIZE : STEP_SIZE;
    const int64_t n_strips = (d->m + STRIP_ROWS - 1) / STRIP_ROWS;
    const int64_t block = tile_block(d->work_groups, strip_size);
    MTF_ALIGNED(64) uint32_t tail[STEP_GROUPS * MTF_PANEL];
    memset(tail, 0, sizeof tail);
    tiles_begin();
    for (int64_t first = 0; first < n_strips; first += block) {
        const int64_t last = first + block < n_strips ? first + block : n_strips;
        for (int64_t s = first; s < last; s++) {
            const int64_t left = d->m - s * STRIP_ROWS;
            tile_pack(d, d->work + (s - first) * strip_size, s,
                      left < STRIP_ROWS ? left : STRIP_ROWS, (s - first) * STRIP_ROWS);
        }
        for (int64_t q = 0; q * MTF_PANEL < d->n; q++) {
            tile_fill_tail(tail, d->panels + q * d->groups * MTF_PANEL, d->groups);
            for (int64_t s = first; s < last; s++) {
                tile_one(d, q, s, first, strip_size, tail);
            }
        }
    }
    tiles_release();
}

#endif
