/* Backward of depthwise.c.
 *
 *   g = dy act'(y)       d norm bias = sums of g by columns
 *   dx[pixel, c] = sum over the windows that hold it, by tap t, of g[w, c] s[c] W[c, t]
 *   G[t, c] = sum over the windows w of g[w, c] x[pixel of t, c]      dW[c, t] = s[c] G[t, c]
 *   d norm weight = (sum over t of G W - mean sums) / sqrt(variance + eps)
 *
 * First region: g by rows, the scaled weight by taps. Second: G and sums by columns, all rows in order;
 * dx by pixels, windows in order of their taps. Third: what follows from G and sums. Work is cut by
 * shape. SPDX-License-Identifier: Apache-2.0 */
#include "depthwise.h"

#include "../base/threads.h"
#include "span.h"

#include <string.h>

enum { G_ROWS = 64, PIXELS = 64, COLUMNS = 64 };

/* Where things begin in the shared scratch, in elements. */
typedef struct layout {
    size_t g, weights, product, sums, size;
} layout;

static layout lay_out(const mtf_node_shape *shape, int64_t rows, mtf_need need)
{
    const int64_t c = shape->in[CONV_X].width;
    const int64_t taps = mtf_conv_taps(shape);
    layout l = {0};
    l.g = mtf_conv_place(&l.size, shape->attrs.activation != MTF_ACT_NONE, (size_t)(rows * c));
    l.weights = mtf_conv_place(&l.size, (need.dx >> CONV_X & 1U) != 0,
                               (size_t)((taps + 1) * c)); /* and the scale */
    l.product = mtf_conv_place(&l.size, (need.dw & CONV_BY_PRODUCT) != 0, (size_t)(taps * c));
    l.sums = mtf_conv_place(&l.size, (need.dw & CONV_BY_SUMS) != 0, (size_t)c);
    return l;
}

size_t mtf_depthwise_shared(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need,
                            mtf_precision precision)
{
    (void)precision;
    return lay_out(shape, extent->n_rows[shape->attrs.grid_space], need).size;
}

typedef struct job {
    const mtf_op_call *call;
    mtf_windows windows;
    int64_t rows, rows_in, c, taps;
    const mtf_real *g;                          /* (rows, c) */
    mtf_real *own_g, *weights, *product, *sums; /* weights, product (taps, c), sums (c); or NULL */
    int64_t n_g, n_columns, n_dw, n_dx, n_sums; /* items */
} job;

static mtf_real scale_of(const mtf_op_call *call, int64_t j)
{
    return call->w[CONV_NORM_WEIGHT] != NULL
               ? call->w[CONV_NORM_WEIGHT]->master[j] * mtf_conv_rstd(call, j)
               : 1;
}

static void first_item(void *context, int64_t item, int worker)
{
    const job *a = context;
    (void)worker;
    if (item >= a->n_g) {
        mtf_real *scale = a->weights + a->taps * a->c;
        for (int64_t j = 0; j < a->c; j++) {
            scale[j] = scale_of(a->call, j);
        }
        mtf_depthwise_by_taps(a->weights, a->call, scale);
        return;
    }
    const int64_t first = item * G_ROWS * a->c;
    mtf_kernel->act_bwd(a->own_g + first, a->call->dout[0] + first, a->call->out[0] + first,
                        mtf_piece_end(a->rows, G_ROWS, item) * a->c - first,
                        a->call->shape->attrs.activation);
}

/* G of some columns. */
static void dw_item(const job *a, int64_t item)
{
    const int64_t first = item * COLUMNS;
    const int64_t n = mtf_piece_end(a->c, COLUMNS, item) - first;
    const mtf_windows *w = &a->windows;
    const mtf_real *x[DEPTHWISE_MOST_TAPS];
    mtf_real *sums[DEPTHWISE_MOST_TAPS];
    mtf_depthwise_taps taps;
    int64_t sequence = 0;
    for (int64_t t = 0; t < a->taps; t++) {
        memset(a->product + t * a->c + first, 0, (size_t)n * sizeof(mtf_real));
    }
    mtf_image image = mtf_windows_image(w, sequence);
    for (int64_t row = 0; row < a->rows; row++) {
        while (row >= mtf_span_start(w->span, w->out_space, sequence + 1)) {
            image = mtf_windows_image(w, ++sequence);
        }
        mtf_depthwise_find(&taps, w, &image, row - image.out_begin);
        for (int64_t i = 0; i < taps.n; i++) {
            x[i] = a->call->in[CONV_X] + taps.row[i] * a->c + first;
            sums[i] = a->product + taps.tap[i] * a->c + first;
        }
        mtf_kernel->taps_add(sums, x, a->g + row * a->c + first, taps.n, n);
    }
}

/* dx of one pixel, at (y, x) of the grid with its border. */
static void dx_pixel(const job *a, const mtf_image *image, mtf_real *dx, int64_t y, int64_t x)
{
    const mtf_windows *w = &a->windows;
    const mtf_real *from[DEPTHWISE_MOST_TAPS];
    const mtf_real *weights[DEPTHWISE_MOST_TAPS];
    int64_t n = 0;
    for (int64_t down = y % w->stride; down < w->kernel && down <= y; down += w->stride) {
        for (int64_t across = x % w->stride; across < w->kernel && across <= x;
             across += w->stride) {
            const int64_t out_y = (y - down) / w->stride;
            const int64_t out_x = (x - across) / w->stride;
            if (out_y < image->out_height && out_x < image->out_width) {
                from[n] = a->g + (image->out_begin + out_y * image->out_width + out_x) * a->c;
                weights[n++] = a->weights + (down * w->kernel + across) * a->c;
            }
        }
    }
    mtf_kernel->taps_sum(dx, from, weights, n, a->c, a->call->din_add[CONV_X]);
}

static void dx_item(const job *a, int64_t item)
{
    const mtf_windows *w = &a->windows;
    int64_t sequence = mtf_span_find(w->span, w->in_space, item * PIXELS);
    mtf_image image = mtf_windows_image(w, sequence);
    for (int64_t row = item * PIXELS; row < mtf_piece_end(a->rows_in, PIXELS, item); row++) {
        while (row >= mtf_span_start(w->span, w->in_space, sequence + 1)) {
            image = mtf_windows_image(w, ++sequence);
        }
        const int64_t at = row - image.in_begin;
        dx_pixel(a, &image, a->call->din[CONV_X] + row * a->c, at / image.in_width + image.top,
                 at % image.in_width + image.left);
    }
}

static void second_item(void *context, int64_t item, int worker)
{
    const job *a = context;
    (void)worker;
    if (item < a->n_dw) {
        dw_item(a, item);
    } else if (item < a->n_dw + a->n_dx) {
        dx_item(a, item - a->n_dw);
    } else {
        item -= a->n_dw + a->n_dx;
        mtf_kernel->column_sum(a->sums + item * COLUMNS, a->g + item * COLUMNS, a->c, a->rows,
                               mtf_piece_end(a->c, COLUMNS, item) - item * COLUMNS, 0);
    }
}

/* Everything that follows from the sums of one column. */
static void finish_column(const job *a, int64_t j)
{
    const mtf_op_call *call = a->call;
    const mtf_real *w = call->w[CONV_WEIGHT]->master + j * a->taps;
    double dot = 0;
    for (int64_t t = 0; a->product != NULL && t < a->taps; t++) {
        const mtf_real sum = a->product[t * a->c + j];
        dot += (double)sum * (double)w[t];
        if (call->dw[CONV_WEIGHT] != NULL) {
            mtf_conv_put(call, CONV_WEIGHT, j * a->taps + t, scale_of(call, j) * sum);
        }
    }
    if (call->dw[CONV_NORM_BIAS] != NULL) {
        mtf_conv_put(call, CONV_NORM_BIAS, j, a->sums[j]);
    }
    if (call->dw[CONV_NORM_WEIGHT] != NULL) {
        const double mean = (double)call->w[CONV_MEAN]->master[j];
        mtf_conv_put(
            call, CONV_NORM_WEIGHT, j,
            (mtf_real)((double)mtf_conv_rstd(call, j) * (dot - mean * (double)a->sums[j])));
    }
}

static void third_item(void *context, int64_t item, int worker)
{
    const job *a = context;
    (void)worker;
    for (int64_t j = item * COLUMNS; j < mtf_piece_end(a->c, COLUMNS, item); j++) {
        finish_column(a, j);
    }
}

void mtf_depthwise_backward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    const mtf_need need = mtf_conv_need(call);
    job a = {.call = call,
             .windows = mtf_windows_of(call),
             .rows = call->span->n_rows[shape->attrs.grid_space],
             .rows_in = call->span->n_rows[shape->in[CONV_X].space],
             .c = shape->in[CONV_X].width,
             .taps = mtf_conv_taps(shape)};
    const layout l = lay_out(shape, a.rows, need);
    const int64_t product = 2 * a.rows * a.c * a.taps;
    int64_t operations = 0;
    a.own_g = mtf_conv_shared(call, l.g);
    a.g = a.own_g != NULL ? a.own_g : call->dout[0];
    a.weights = mtf_conv_shared(call, l.weights);
    a.product = mtf_conv_shared(call, l.product);
    a.sums = mtf_conv_shared(call, l.sums);
    a.n_columns = mtf_pieces(a.c, COLUMNS);
    a.n_g = a.own_g != NULL ? mtf_pieces(a.rows, G_ROWS) : 0;
    if (a.product != NULL) {
        a.n_dw = a.n_columns;
        operations += product;
        mtf_flops_add(MTF_FLOPS_DW, product);
    }
    if (a.weights != NULL) {
        a.n_dx = mtf_pieces(a.rows_in, PIXELS);
        operations += product;
        mtf_flops_add(MTF_FLOPS_DX, product);
    }
    a.n_sums = a.sums != NULL ? a.n_columns : 0;
    if (a.n_g > 0 || a.weights != NULL) {
        mtf_parallel_work(a.n_g + (a.weights != NULL), a.rows * a.c, first_item, &a);
    }
    mtf_parallel_work(a.n_dw + a.n_dx + a.n_sums, operations, second_item, &a);
    if (need.dw != 0) {
        mtf_parallel_work(a.n_columns, 4 * a.c * a.taps, third_item, &a);
    }
}
