/* Products with bf16 panels by tdpbf16ps whose sums are scaled, shifted, added to and activated on their
 * way to y; see mtf_affine_product.
 *
 * Rows of x in bf16 are read by tiles where they lie, 64 bytes of a row a step; floats are rounded into
 * strips first, as packed_bf16.c does it, and so is a last strip that is not whole. The sums of one tile
 * are finished while the next ones are made, since tiles and vectors are units of their own.
 * Where the weight fits the second cache beside other things, a strip meets all panels in turn, so that
 * rows of y and of the residual are passed once; else a panel meets all strips of a block.
 *
 * Precision: x and y are rounded by the conversion instruction (denormals become zero); sums as in
 * packed_bf16.c; the product and the shift are one fused operation, as in column_affine.
 * SPDX-License-Identifier: Apache-2.0 */
#include "amx.h"

#define TILE_DOT(sums, x, w) tile_dot_bf16(sums, x, w)
#include "rounding.h"
#include "tile_sums.h"

AMX_COMPILED(affine_product)

/* Bytes of a weight whose panels may take turns. */
#define SMALL_WEIGHT 524288

/* The columns of y that a panel makes, of the rows of a strip. */
typedef struct affine_tile {
    int64_t i, j, rows, width; /* the first row and column */
} affine_tile;

/* A call under way: sums alternate between two buffers, and those of `last` wait in the one. */
typedef struct affine_run {
    const mtf_affine_product *p;
    int64_t groups, strip_size;
    uint32_t *strips; /* packed ones of the block, from strip number `first` on */
    int64_t first;
    affine_tile last; /* rows 0: none waits */
    int now;
    MTF_ALIGNED(64) uint32_t tail[STEP_GROUPS * MTF_PANEL];
    tile_sums sums[2];
} affine_run;

/* Columns 16 h .. of row r of a tile: sum (16) scaled, shifted, with the residual and activated. */
static inline __attribute__((always_inline)) __m512 affine_value(const mtf_affine_product *p,
                                                                 const affine_tile *t, __m512 sum,
                                                                 __m512 scale, __m512 shift,
                                                                 __m512i residual, int64_t r, int h,
                                                                 mtf_activation act)
{
    __m512 value = _mm512_fmadd_ps(sum, scale, shift);
    if (p->residual_half != NULL) {
        value = _mm512_add_ps(value, widen_16(residual, h));
    } else if (p->residual != NULL) {
        const float *at = p->residual + (t->i + r) * p->ldr + t->j + (int64_t)16 * h;
        const __mmask16 lanes = dot_lanes(t->width - (int64_t)16 * h);
        value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(lanes, lanes ? at : p->residual));
    }
    return activate_f32x16(value, act);
}

static inline void store_32(const mtf_affine_product *p, int64_t at, __mmask32 lanes,
                            __m512i halves)
{
    if (p->y_half != NULL && lanes == 0xFFFFFFFFU) { /* masked stores are slow on some processors */
        _mm512_storeu_si512(p->y_half + at, halves);
    } else if (p->y_half != NULL) {
        _mm512_mask_storeu_epi16(p->y_half + at, lanes, halves);
    } else {
        _mm512_mask_storeu_ps(p->y + at, (__mmask16)lanes, widen_16(halves, 0));
        _mm512_mask_storeu_ps(p->y + at + 16, (__mmask16)(lanes >> 16), widen_16(halves, 1));
    }
}

/* A tile's sums (rows,32) to y; inlined with `act` known. */
static inline __attribute__((always_inline)) void finish_rows(const mtf_affine_product *p,
                                                              const affine_tile *t,
                                                              const tile_sums *sums,
                                                              mtf_activation act)
{
    const __mmask32 lanes = t->width >= MTF_PANEL ? 0xFFFFFFFFU : (1U << t->width) - 1;
    __m512 scale[2];
    __m512 shift[2];
    for (int h = 0; h < 2; h++) {
        const __mmask16 some = (__mmask16)(lanes >> 16 * h);
        const int64_t at = some ? t->j + (int64_t)16 * h : 0;
        scale[h] = p->scale != NULL ? _mm512_maskz_loadu_ps(some, p->scale + at) : F32X16(1.0F);
        shift[h] = p->shift != NULL ? _mm512_maskz_loadu_ps(some, p->shift + at) : F32X16(-0.0F);
    }
    for (int64_t r = 0; r < t->rows; r++) {
        __m512i residual = _mm512_setzero_si512();
        if (p->residual_half != NULL) {
            const uint16_t *at = p->residual_half + (t->i + r) * p->ldr + t->j;
            residual =
                lanes == 0xFFFFFFFFU ? _mm512_loadu_si512(at) : _mm512_maskz_loadu_epi16(lanes, at);
        }
        const __m512 low = affine_value(p, t, _mm512_load_ps(&sums->at[r][0]), scale[0], shift[0],
                                        residual, r, 0, act);
        const __m512 high = affine_value(p, t, _mm512_load_ps(&sums->at[r][16]), scale[1], shift[1],
                                         residual, r, 1, act);
        store_32(p, (t->i + r) * p->ldy + t->j, lanes, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
}

/* Finishes the sums that wait, if any do. */
static inline void finish(affine_run *run)
{
    const tile_sums *sums = &run->sums[1 - run->now];
    switch (run->p->activation) {
    case MTF_ACT_NONE:
        finish_rows(run->p, &run->last, sums, MTF_ACT_NONE);
        break;
    case MTF_ACT_RELU:
        finish_rows(run->p, &run->last, sums, MTF_ACT_RELU);
        break;
    default:
        finish_rows(run->p, &run->last, sums, run->p->activation);
        break;
    }
}

/* Panel number q with strip number s, with `lines` cache lines a step of what the strip brings from the
 * next panel. */
static void multiply(affine_run *run, int64_t q, int64_t s, int64_t lines)
{
    const mtf_affine_product *p = run->p;
    const int64_t i = s * STRIP_ROWS;
    const int64_t j = q * MTF_PANEL;
    const affine_tile t = {i, j, p->m - i < STRIP_ROWS ? p->m - i : STRIP_ROWS,
                           p->n - j < MTF_PANEL ? p->n - j : MTF_PANEL};
    const int both = t.rows > TILE_ROWS;
    tile_factors f = {.x = tile_rows_packed(run->strips + (s - run->first) * run->strip_size),
                      .w = (const uint32_t *)p->panels + j * run->groups,
                      .tail = run->tail,
                      .groups = run->groups,
                      .n_runs = 1};
    if (p->x_half != NULL && t.rows == STRIP_ROWS) {
        const int64_t stride = p->xi * (int64_t)sizeof *p->x_half;
        f.x = (tile_rows){(const char *)(p->x_half + i * p->xi), stride, TILE_ROWS * stride,
                          TILE_BYTES};
        f.n_runs = p->n_runs;
        f.jump = p->run_step * (int64_t)sizeof *p->x_half;
    }
    if (lines > 0 && j + MTF_PANEL < p->n) {
        f.ahead = (const char *)(f.w + MTF_PANEL * run->groups) +
                  (s - run->first) * lines * (run->groups / STEP_GROUPS) * TILE_BYTES;
        f.lines = lines;
    }
    tiles_fence();
    tile_clear();
    tile_add(&f, both);
    tiles_fence();
    finish(run);
    tiles_fence();
    tile_put(&run->sums[run->now], 2 * TILE_BYTES, both);
    tiles_fence();
    run->last = t;
    run->now = 1 - run->now;
}

/* Strip number s of x, of which `rows` rows exist, with zeros in the others. */
static void pack_strip(const mtf_affine_product *p, uint32_t *strip, int64_t s, int64_t rows)
{
    const int64_t run = p->x_half != NULL && p->n_runs > 1 ? p->k / p->n_runs : p->k;
    for (int64_t at = 0; at < p->k; at += MTF_HALVES) {
        const int64_t column = at / run * p->run_step + at % run;
        for (int64_t r = 0; r < STRIP_ROWS; r++, strip += STEP_GROUPS) {
            const int64_t row = (s * STRIP_ROWS + r) * p->xi;
            __m512i halves = _mm512_setzero_si512();
            if (r < rows) {
                halves = p->x_half != NULL ? _mm512_loadu_si512(p->x_half + row + column)
                                           : round_32(p->x + row + at, p->k - at);
            }
            _mm512_storeu_si512(strip, halves);
        }
    }
}

/* Strips first .. last - 1 with all panels. */
static void multiply_strips(affine_run *run, int64_t first, int64_t last)
{
    const mtf_affine_product *p = run->p;
    const int64_t n = last - first;
    const int64_t lines = n > 1 ? (2 * STEP_GROUPS + n - 1) / n : 0; /* a step of a panel has 32 */
    for (int64_t q = 0; q * MTF_PANEL < p->n; q++) {
        tile_fill_tail(run->tail, (const uint32_t *)p->panels + q * run->groups * MTF_PANEL,
                       run->groups);
        for (int64_t s = first; s < last; s++) {
            multiply(run, q, s, lines);
        }
    }
}

void mtf_affine_product_f32_amx(const mtf_affine_product *p, float *work)
{
    const int64_t groups = (p->k + 1) / 2;
    const int64_t steps = (groups + STEP_GROUPS - 1) / STEP_GROUPS;
    const int64_t n_strips = (p->m + STRIP_ROWS - 1) / STRIP_ROWS;
    affine_run run = {.p = p, .groups = groups, .strip_size = steps * STEP_SIZE};
    run.strips = (uint32_t *)(((uintptr_t)work + 63) & ~(uintptr_t)63);
    const int64_t block = tile_block((int64_t)mtf_packed_work(p->k) - 16, run.strip_size);
    const int in_turn = groups * p->n * (int64_t)sizeof(uint32_t) <= SMALL_WEIGHT;
    tiles_begin();
    for (int64_t first = 0; first < n_strips; first += block) {
        const int64_t last = first + block < n_strips ? first + block : n_strips;
        run.first = first;
        for (int64_t s = first; s < last; s++) {
            const int64_t rows = p->m - s * STRIP_ROWS;
            if (p->x_half == NULL || rows < STRIP_ROWS) {
                pack_strip(p, run.strips + (s - first) * run.strip_size, s,
                           rows < STRIP_ROWS ? rows : STRIP_ROWS);
            }
        }
        for (int64_t s = first; s < last; s += in_turn ? 1 : last - first) {
            multiply_strips(&run, s, in_turn ? s + 1 : last);
        }
    }
    finish(&run);
    tiles_release();
}
