/* The largest value of each window over a grid, by columns.
 *
 *   y[w] = max of x over the pixels of window w      dx[pixel] = sum of dy[w] over windows it won
 *
 * The border around a grid never wins. Of equal values the first, down and across, does; NaN wins
 * over numbers, as in PyTorch. Saved for backward: which place of its window won (aux[0]).
 * Values in bf16 are compared as they lie.
 * Cut: by rows of the output, backward by pixels, so each sum has one order. No arithmetic but the
 * sums of backward, which are not counted. Bits: a row depends on its window alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include "windows.h"

#include "../base/compiler.h"
#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

#include <math.h>
#include <string.h>

enum { ROWS = 64, MOST_KERNEL = 8, MOST_PIXELS = MOST_KERNEL * MOST_KERNEL };

static mtf_status grid_max_pool_check(mtf_node_shape *shape, mtf_error *err)
{
    MTF_TRY(mtf_check_input(shape, "grid_max_pool", 0, "x", 0, err));
    MTF_TRY(mtf_windows_check(shape, "grid_max_pool", err));
    if (2 * shape->attrs.padding > shape->attrs.kernel) {
        return mtf_fail(
            err, MTF_ERR_VALUE,
            "%s: grid_max_pool expects a border of at most half a window, found padding "
            "%lld of kernel %lld; give less",
            shape->label, (long long)shape->attrs.padding, (long long)shape->attrs.kernel);
    }
    if (shape->attrs.kernel > MOST_KERNEL) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: grid_max_pool expects windows of at most %d x %d rows, found a kernel "
                        "of %lld; pool in two steps",
                        shape->label, (int)MOST_KERNEL, (int)MOST_KERNEL,
                        (long long)shape->attrs.kernel);
    }
    mtf_set_output(shape, shape->attrs.grid_space, shape->in[0].width);
    shape->aux[0] = shape->out[0];
    return MTF_OK;
}

/* y (C) takes x (C) where it is larger, and `at` (C) or NULL then takes the place. */
static void take_larger(mtf_real *MTF_RESTRICT y, mtf_real *MTF_RESTRICT at,
                        const mtf_real *MTF_RESTRICT x, int64_t c, int64_t place)
{
    if (at == NULL) { /* of several NaNs any will do */
        for (int64_t j = 0; j < c; j++) {
            y[j] = x[j] > y[j] || x[j] != x[j] ? x[j] : y[j];
        }
        return;
    }
    for (int64_t j = 0; j < c; j++) {
        const int wins = x[j] > y[j] || (isnan(x[j]) && !isnan(y[j]));
        y[j] = wins ? x[j] : y[j];
        at[j] = wins ? (mtf_real)place : at[j];
    }
}

/* Row `row` of y from the n pixels of its window that lie in the grid, rows from[t] of x, at[t] their
 * places. */
static void pool_row(const mtf_op_call *call, int64_t row, const int64_t *from, const int64_t *at,
                     int64_t n)
{
    const int64_t c = call->shape->in[0].width;
    mtf_real *y = call->out[0] + row * c;
    mtf_real *place = call->aux[0] != NULL ? call->aux[0] + row * c : NULL;
    memcpy(y, call->in[0] + from[0] * c, (size_t)c * sizeof *y);
    for (int64_t j = 0; place != NULL && j < c; j++) {
        place[j] = (mtf_real)at[0];
    }
    for (int64_t t = 1; t < n; t++) {
        take_larger(y, place, call->in[0] + from[t] * c, c, at[t]);
    }
}

/* The same in bf16, without places. */
static void pool_row_halves(const mtf_op_call *call, int64_t row, const int64_t *from, int64_t n)
{
    const int64_t c = call->shape->in[0].width;
    const uint16_t *x[MOST_PIXELS];
    for (int64_t t = 0; t < n; t++) {
        x[t] = call->in_half[0] + from[t] * c;
    }
    mtf_kernel->largest_halves(call->out_half[0] + row * c, x, n, c);
}

static void forward_rows(const mtf_op_call *call, int64_t first, int64_t last)
{
    const mtf_windows w = mtf_windows_of(call);
    int64_t sequence = mtf_span_find(w.span, w.out_space, first);
    mtf_image image = mtf_windows_image(&w, sequence);
    for (int64_t row = first; row < last; row++) {
        while (row >= mtf_span_start(w.span, w.out_space, sequence + 1)) {
            image = mtf_windows_image(&w, ++sequence);
        }
        const int64_t top = (row - image.out_begin) / image.out_width * w.stride - w.padding;
        const int64_t left = (row - image.out_begin) % image.out_width * w.stride - w.padding;
        int64_t from[MOST_PIXELS];
        int64_t at[MOST_PIXELS];
        int64_t n = 0;
        for (int64_t place = 0; place < w.kernel * w.kernel; place++) {
            const int64_t down = top + place / w.kernel;
            const int64_t across = left + place % w.kernel;
            if (down >= 0 && down < image.in_height && across >= 0 && across < image.in_width) {
                from[n] = image.in_begin + down * image.in_width + across;
                at[n++] = place;
            }
        }
        if (call->in_half[0] != NULL) {
            pool_row_halves(call, row, from, n);
        } else {
            pool_row(call, row, from, at, n);
        }
    }
}

static void forward_item(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const int64_t rows = call->span->n_rows[call->shape->attrs.grid_space];
    (void)worker;
    forward_rows(call, item * ROWS, mtf_piece_end(rows, ROWS, item));
}

static void grid_max_pool_forward(const mtf_op_call *call)
{
    const int64_t rows = call->span->n_rows[call->shape->attrs.grid_space];
    if (call->work_stride > 0) {
        mtf_parallel_for(mtf_pieces(rows, ROWS), forward_item, &call);
    } else if (rows > 0) {
        forward_rows(call, 0, rows);
    }
}

/* The gradient of one pixel, at (y, x) of the grid with its border, from the windows that hold it. */
static void gather_pixel(const mtf_op_call *call, const mtf_windows *w, const mtf_image *image,
                         mtf_real *dx, int64_t y, int64_t x)
{
    for (int64_t down = y % w->stride; down < w->kernel && down <= y; down += w->stride) {
        for (int64_t across = x % w->stride; across < w->kernel && across <= x;
             across += w->stride) {
            const int64_t out_y = (y - down) / w->stride;
            const int64_t out_x = (x - across) / w->stride;
            if (out_y >= image->out_height || out_x >= image->out_width) {
                continue;
            }
            const int64_t row = image->out_begin + out_y * image->out_width + out_x;
            const mtf_real *dy = call->dout[0] + row * w->width;
            const mtf_real *at = call->aux[0] + row * w->width;
            const mtf_real place = (mtf_real)(down * w->kernel + across);
            for (int64_t j = 0; j < w->width; j++) {
                dx[j] += at[j] == place ? dy[j] : 0;
            }
        }
    }
}

static void backward_item(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const mtf_windows w = mtf_windows_of(call);
    const int64_t last = mtf_piece_end(w.span->n_rows[w.in_space], ROWS, item);
    int64_t sequence = mtf_span_find(w.span, w.in_space, item * ROWS);
    mtf_image image = mtf_windows_image(&w, sequence);
    (void)worker;
    for (int64_t row = item * ROWS; row < last; row++) {
        while (row >= mtf_span_start(w.span, w.in_space, sequence + 1)) {
            image = mtf_windows_image(&w, ++sequence);
        }
        mtf_real *dx = call->din[0] + row * w.width;
        if (!call->din_add[0]) {
            memset(dx, 0, (size_t)w.width * sizeof *dx);
        }
        gather_pixel(call, &w, &image, dx, (row - image.in_begin) / image.in_width + w.padding,
                     (row - image.in_begin) % image.in_width + w.padding);
    }
}

static void grid_max_pool_backward(const mtf_op_call *call)
{
    if (call->din[0] != NULL) {
        mtf_parallel_for(mtf_pieces(call->span->n_rows[call->shape->in[0].space], ROWS),
                         backward_item, &call);
    }
}

static mtf_save grid_max_pool_saves(const mtf_node_shape *shape, mtf_need need)
{
    (void)shape;
    return (mtf_save){.aux = need.dx != 0 ? 1U : 0U};
}

static mtf_cost grid_max_pool_cost(const mtf_node_shape *shape, const mtf_extent *extent,
                                   mtf_need need)
{
    (void)shape;
    (void)extent;
    (void)need;
    return (mtf_cost){0};
}

static mtf_halves grid_max_pool_halves(const mtf_node_shape *shape, const mtf_precision *precision)
{
    (void)shape;
    (void)precision;
    return (mtf_halves){.in = 1, .out = 1, .alike = 1};
}

const mtf_op mtf_op_grid_max_pool = {.name = "grid_max_pool",
                                     .locality = MTF_LOCAL_SEQUENCE,
                                     .check = grid_max_pool_check,
                                     .forward = grid_max_pool_forward,
                                     .backward = grid_max_pool_backward,
                                     .saves = grid_max_pool_saves,
                                     .cost = grid_max_pool_cost,
                                     .work = mtf_no_work,
                                     .halves = grid_max_pool_halves,
                                     .grids = 1U};
