/* The forward pass of a convolution whose products are in bf16.
 *
 * y is rounded to bf16 wherever it lies, so that a plan may keep it in either without another bit
 * anywhere. x and the residual come in bf16 or as floats; windows are gathered as they lie, and where they
 * are the pixels themselves, x is read where it is.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../blas/affine.h"
#include "convolution.h"

/* The most rows of a piece, whole strips of the kernels with tiles: more where the weight is large, so that it is
 * met by many rows at once, as long as they stay in the second cache. */
#define STRIP        32
#define FEW_ROWS     256
#define MOST_ROWS    512
#define PIECE_VALUES 786432
#define SMALL_WEIGHT 131072
/* Images of fewer windows are not worth pieces of their own. */
#define LEAST_RUNS 128

static int64_t piece_rows(const mtf_node_shape *shape)
{
    const int64_t k = shape->weight_cols[CONV_WEIGHT];
    const int64_t n = shape->weight_rows[CONV_WEIGHT];
    if (mtf_kernel->affine_product == NULL) {
        return mtf_conv_rows(k > n ? k : n) / STRIP * STRIP;
    }
    const int64_t most = n * k <= SMALL_WEIGHT ? FEW_ROWS : MOST_ROWS;
    const int64_t rows = PIECE_VALUES / k / STRIP * STRIP;
    return rows < 2 * STRIP ? 2 * STRIP : rows > most ? most : rows;
}

/* Values of a row of gathered windows in bf16: whole cache lines, and not a multiple of 2 KB, of which
 * the first cache holds few. */
static int64_t row_halves(int64_t k)
{
    return k % 1024 == 0 ? k + MTF_HALVES : (k + MTF_HALVES - 1) / MTF_HALVES * MTF_HALVES;
}

/* Room for the windows of a piece, in bf16 or as floats; none where they are read as they lie. */
static int64_t gathered_size(const mtf_node_shape *shape)
{
    const int64_t k = shape->weight_cols[CONV_WEIGHT];
    if (mtf_conv_is_product(shape) && k % MTF_HALVES == 0) {
        return 0;
    }
    return (piece_rows(shape) * row_halves(k) + 15) / 16 * 16;
}

size_t mtf_convolution_bf16_work(const mtf_node_shape *shape)
{
    return (size_t)gathered_size(shape) + mtf_affine_product_work(piece_rows(shape),
                                                                  shape->weight_rows[CONV_WEIGHT],
                                                                  shape->weight_cols[CONV_WEIGHT]);
}

/* A forward pass over some rows and columns; `gathered` has room for the windows of a piece. */
typedef struct pass {
    const mtf_op_call *call;
    const mtf_conv_region *region;
    mtf_windows windows;
    const uint16_t *panels;
    mtf_real *folded, *gathered;
} pass;

/* Rounds the pixels that m windows reach into the second half of `gathered`, which halves leave free; 0:
 * they are too many. Levels without the product round again, and are spared that. */
static int round_pixels(mtf_half_pixels *pixels, const pass *c, int64_t first, int64_t m)
{
    const int64_t room = gathered_size(c->call->shape);
    const int64_t width = c->windows.width;
    int64_t end;
    if (mtf_kernel->affine_product == NULL) {
        return 0;
    }
    mtf_windows_reach(&c->windows, first, m, &pixels->begin, &end);
    const int64_t n = (end - pixels->begin) * width;
    uint16_t *to = (uint16_t *)(void *)c->gathered + room;
    pixels->x = to;
    if (n > room) {
        return 0;
    }
    mtf_kernel->bf16_round(to, c->call->in[CONV_X] + pixels->begin * width, n);
    return 1;
}

/* The windows first .. first + p->m - 1 as the rows of p, or as many of the first as one image has. */
static void set_windows(mtf_affine_product *p, const pass *c, int64_t first)
{
    const mtf_node_shape *shape = c->call->shape;
    const mtf_windows *w = &c->windows;
    uint16_t *to = (uint16_t *)(void *)c->gathered;
    mtf_half_pixels pixels = {c->call->in_half[CONV_X], 0};
    int64_t grid_width = 0;
    p->n_runs = 1;
    p->xi = p->k;
    if (mtf_conv_is_product(shape) && (pixels.x == NULL || p->k % MTF_HALVES == 0)) {
        p->x = pixels.x == NULL ? c->call->in[CONV_X] + first * p->k : NULL;
        p->x_half = pixels.x != NULL ? pixels.x + first * p->k : NULL;
        return;
    }
    if (pixels.x == NULL && !round_pixels(&pixels, c, first, p->m)) {
        p->x = c->gathered;
        mtf_windows_gather(c->gathered, p->k, c->call->in[CONV_X], w, first, p->m, 0, p->k);
        return;
    }
    const int64_t run = w->kernel * w->width;
    const int64_t n = run % MTF_HALVES == 0
                          ? mtf_windows_has_runs(w, first, p->m, gathered_size(shape), &grid_width)
                          : 0;
    if (n >= LEAST_RUNS || (n > 0 && n == p->m)) {
        p->m = n;
        p->xi = run;
        p->n_runs = w->kernel;
        p->run_step = grid_width * run;
        p->x_half = to + mtf_windows_runs(to, &pixels, w, first, n) * run;
        return;
    }
    p->xi = row_halves(p->k);
    p->x_half = to;
    mtf_windows_gather_halves(to, p->xi, &pixels, w, first, p->m);
}

/* Makes rows first .. first + m - 1 at most, and returns how many. */
static int64_t run_piece(const pass *c, int64_t first, int64_t m)
{
    const mtf_op_call *call = c->call;
    const int64_t n = call->shape->weight_rows[CONV_WEIGHT];
    const int64_t n0 = c->region->n0;
    const int64_t at = first * n + n0;
    mtf_affine_product p = {.m = m,
                            .n = c->region->n1 - n0,
                            .k = call->shape->weight_cols[CONV_WEIGHT],
                            .panels = c->panels,
                            .ldr = n,
                            .activation = call->shape->attrs.activation,
                            .ldy = n};
    if (call->w[CONV_NORM_WEIGHT] != NULL) {
        p.scale = c->folded + n0;
        p.shift = c->folded + mtf_conv_folded(n) / 2 + n0;
    } else if (call->w[CONV_BIAS] != NULL) {
        p.shift = call->w[CONV_BIAS]->master + n0;
    }
    if (call->in_half[CONV_RESIDUAL] != NULL) {
        p.residual_half = call->in_half[CONV_RESIDUAL] + at;
    } else if (call->in[CONV_RESIDUAL] != NULL) {
        p.residual = call->in[CONV_RESIDUAL] + at;
    }
    if (call->out_half[0] != NULL) {
        p.y_half = call->out_half[0] + at;
    } else {
        p.y = call->out[0] + at;
    }
    set_windows(&p, c, first);
    mtf_affine_product_run(&p, c->gathered + gathered_size(call->shape));
    return p.m;
}

void mtf_convolution_bf16(const mtf_op_call *call, const mtf_conv_region *r, mtf_real *work)
{
    const mtf_node_shape *shape = call->shape;
    const int64_t most = piece_rows(shape);
    const mtf_form *form = mtf_weight_form(call->w[CONV_WEIGHT], MTF_USE_Y, MTF_PRECISION_BF16);
    const pass c = {.call = call,
                    .region = r,
                    .windows = mtf_windows_of(call),
                    .panels = mtf_form_panel(form, shape->weight_cols[CONV_WEIGHT],
                                             MTF_PRECISION_BF16, r->n0 / MTF_PANEL),
                    .folded = work,
                    .gathered = work + mtf_conv_folded(shape->weight_rows[CONV_WEIGHT])};
    int64_t first = r->first;
    while (first < r->last &&
           !mtf_stopping()) { /* pieces nearly equal: a weight comes once for each */
        const int64_t left = r->last - first;
        const int64_t n = (left + most - 1) / most;
        const int64_t rows = ((left + n - 1) / n + STRIP - 1) / STRIP * STRIP;
        first += run_piece(&c, first, rows < left ? rows : left);
    }
}
