/* dot_product.h: what the products with bf16 and int8 panels share above AVX-512: the call as a
 * struct, one tile of it, and what happens to a tile's sums at the end: bias, copy, activation.
 * For files of the AVX-512 folders and of those above.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_KERNELS_AVX512_DOT_PRODUCT_H
#define MTF_KERNELS_AVX512_DOT_PRODUCT_H

#include "../kernels.h"
#include "elementary.h"

#include <immintrin.h>

/* How bytes stand for a row of x: value = low + byte * step. */
typedef struct dot_row {
    float low, step;
} dot_row;

/* A call. Terms of k come in groups of 32 bits: a pair of bf16, four bytes. */
typedef struct dot_product {
    float *y;       /* (M,N) */
    const float *x; /* (M,K), element (i, p) at x[i * xi + p * xp] */
    int64_t ldy, xi, xp, m, n, k;
    const uint32_t *panels; /* [panel][groups][32] */
    int64_t groups;         /* of k */
    const mtf_epilogue *e;
    uint32_t *work;      /* whole cache lines */
    int64_t work_groups; /* room there */
    dot_row *rows;       /* (M of a block), int8 */
    const float *scale;  /* (32 per panel), int8 */
    const int32_t *sums; /* (32 per panel), int8 */
    int turned;          /* bf16: x lies transposed */
    int64_t n_strips;
} dot_product;

/* A call of the slot packed_bf16: y (M,N), x (M,K). */
static inline dot_product dot_call_bf16(float *y, int64_t ldy, const float *x, int64_t xi,
                                        int64_t xp, const uint16_t *panels, int64_t m, int64_t n,
                                        int64_t k, const mtf_epilogue *e, float *work)
{
    return (dot_product){
        .y = y,
        .x = x,
        .ldy = ldy,
        .xi = xi,
        .xp = xp,
        .m = m,
        .n = n,
        .k = k,
        .panels = (const uint32_t *)panels,
        .groups = (k + 1) / 2,
        .e = e,
        .work = (uint32_t *)(((uintptr_t)work + 63) & ~(uintptr_t)63),
        .work_groups = (int64_t)mtf_packed_work(k) - 16,
        .turned = xp != 1,
    };
}

/* A call of the slot packed_int8, y (M,N), x (M,K), in blocks of at most `most_rows`: the lows and
 * steps of a block's rows lie before its strips in `work`, the values of one row behind them. */
static inline dot_product dot_call_int8(float *y, int64_t ldy, const float *x, int64_t xi,
                                        int64_t xp, const int8_t *panels, const float *scale,
                                        const int32_t *sums, int64_t m, int64_t n, int64_t k,
                                        const mtf_epilogue *e, float *work, int64_t most_rows)
{
    uint32_t *aligned = (uint32_t *)(((uintptr_t)work + 63) & ~(uintptr_t)63);
    return (dot_product){
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
        .work = aligned + 2 * most_rows,
        .work_groups = (int64_t)mtf_packed_work(k) - 16 - 2 * most_rows - k,
        .rows = (dot_row *)aligned,
        .scale = scale,
        .sums = sums,
    };
}

/* Some rows of y times the columns of one panel. */
typedef struct dot_tile {
    float *y;          /* (rows,width) */
    float *pre;        /* (rows,width) or NULL */
    const float *bias; /* (width) or NULL */
    int64_t ldy, width, groups;
    const uint32_t *x, *w;
    int add;
    const dot_row *rows; /* (rows) */
    const float *scale;  /* (32) */
    const int32_t *sums; /* (32) */
} dot_tile;

static inline __mmask16 dot_lanes(int64_t n)
{
    return n >= 16 ? (__mmask16)0xFFFF : n <= 0 ? (__mmask16)0 : (__mmask16)((1U << n) - 1);
}

/* The tile of panel number q from row i on; the block that is in `work` begins at row `first`. */
static inline dot_tile dot_tile_at(const dot_product *d, int64_t q, int64_t i, int64_t first,
                                   const uint32_t *x)
{
    const int64_t j = q * MTF_PANEL;
    const mtf_epilogue *e = d->e;
    dot_tile t = {
        .y = d->y + i * d->ldy + j,
        .ldy = d->ldy,
        .width = d->n - j < MTF_PANEL ? d->n - j : MTF_PANEL,
        .groups = d->groups,
        .x = x,
        .w = d->panels + j * d->groups,
        .add = e->add,
        .rows = d->rows != NULL ? d->rows + (i - first) : NULL,
        .scale = d->scale != NULL ? d->scale + j : NULL,
        .sums = d->sums != NULL ? d->sums + j : NULL,
    };
    if (!e->add) {
        t.bias = e->bias != NULL ? e->bias + j : NULL;
        t.pre = e->pre != NULL ? e->pre + i * d->ldy + j : NULL;
    }
    return t;
}

/* Sixteen columns of y as they are; zeros past the width. */
static inline __m512 dot_before(const dot_tile *t, int64_t row, int column)
{
    return _mm512_maskz_loadu_ps(dot_lanes(t->width - column), t->y + row * t->ldy + column);
}

static inline void dot_store(const dot_tile *t, int64_t row, int column, __m512 value)
{
    float *y = t->y + row * t->ldy + column;
    const __mmask16 lanes = dot_lanes(t->width - column);
    if (t->bias != NULL) {
        value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(lanes, t->bias + column));
    }
    if (lanes == 0xFFFF) { /* masked stores are slow on some processors */
        _mm512_storeu_ps(y, value);
    } else {
        _mm512_mask_storeu_ps(y, lanes, value);
    }
    if (t->pre != NULL) {
        _mm512_mask_storeu_ps(t->pre + row * t->ldy + column, lanes, value);
    }
}

static inline void dot_activate(const dot_tile *t, int64_t rows, const mtf_epilogue *e)
{
    if (e->add || e->activation == MTF_ACT_NONE) {
        return;
    }
    for (int64_t i = 0; i < rows; i++) {
        for (int column = 0; column < t->width; column += 16) {
            float *y = t->y + i * t->ldy + column;
            const __mmask16 lanes = dot_lanes(t->width - column);
            const __m512 value = _mm512_maskz_loadu_ps(lanes, y);
            _mm512_mask_storeu_ps(y, lanes, activate_f32x16(value, e->activation));
        }
    }
}

#endif
