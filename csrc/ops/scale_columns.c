/* Columns multiplied by a vector of factors (IA3, Liu et al. 2022), forward and backward.
 *
 *   y = x * w        dx = dy * w        dw = column sums of dy * x        w (C)
 *
 * Saved for backward: x if w trains. With w one, y has the bits of x.
 * Cut: by rows; dw by columns, rows in order. Tolerance family: elementwise, dw: reduction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "../base/flops.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

enum { ROWS = 64, COLUMNS = 64 };

static mtf_status scale_columns_check(mtf_node_shape *shape, mtf_error *err)
{
    mtf_status status = mtf_check_input(shape, "scale_columns", 0, "x", 0, err);
    if (status == MTF_OK) {
        status = mtf_check_weight(shape, "scale_columns", 0, "w", shape->in[0].width, 1, err);
    }
    if (status == MTF_OK) {
        mtf_set_output(shape, shape->in[0].space, shape->in[0].width);
    }
    return status;
}

/* to (M,C) = or += from (M,C) * w (C). */
static void multiply_rows(mtf_real *to, const mtf_real *from, const mtf_real *w, int64_t m,
                          int64_t c, int add)
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < c; j++) {
            const mtf_real product = from[i * c + j] * w[j];
            to[i * c + j] = add ? to[i * c + j] + product : product;
        }
    }
}

static void scale_columns_forward(const mtf_op_call *call)
{
    const int64_t c = call->shape->in[0].width;
    const int64_t rows = call->span->n_rows[call->shape->in[0].space];
    multiply_rows(call->out[0], call->in[0], call->w[0]->master, rows, c, 0);
    mtf_flops_add(MTF_FLOPS_FORWARD, rows * c);
}

static void backward_item(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const int64_t c = call->shape->in[0].width;
    const int64_t rows = call->span->n_rows[call->shape->in[0].space];
    const int64_t n_rows = call->din[0] != NULL ? mtf_pieces(rows, ROWS) : 0;
    (void)worker;
    if (item < n_rows) {
        const int64_t first = item * ROWS;
        const int64_t m = mtf_piece_end(rows, ROWS, item) - first;
        multiply_rows(call->din[0] + first * c, call->dout[0] + first * c, call->w[0]->master, m, c,
                      call->din_add[0]);
        mtf_flops_add(MTF_FLOPS_DX, m * c);
        return;
    }
    const int64_t first = (item - n_rows) * COLUMNS;
    const int64_t last = mtf_piece_end(c, COLUMNS, item - n_rows);
    mtf_real sums[COLUMNS] = {0};
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = first; j < last; j++) {
            sums[j - first] += call->dout[0][i * c + j] * call->in[0][i * c + j];
        }
    }
    for (int64_t j = first; j < last; j++) {
        call->dw[0][j] = call->dw_add[0] ? call->dw[0][j] + sums[j - first] : sums[j - first];
    }
    mtf_flops_add(MTF_FLOPS_DW, 2 * rows * (last - first));
}

static void scale_columns_backward(const mtf_op_call *call)
{
    const int64_t c = call->shape->in[0].width;
    const int64_t rows = call->span->n_rows[call->shape->in[0].space];
    mtf_parallel_for((call->din[0] != NULL ? mtf_pieces(rows, ROWS) : 0) +
                         (call->dw[0] != NULL ? mtf_pieces(c, COLUMNS) : 0),
                     backward_item, &call);
}

static mtf_save scale_columns_saves(const mtf_node_shape *shape, mtf_need need)
{
    (void)shape;
    return (mtf_save){.in = need.dw & 1U};
}

static mtf_cost scale_columns_cost(const mtf_node_shape *shape, const mtf_extent *extent,
                                   mtf_need need)
{
    const double elements = (double)extent->n_rows[shape->in[0].space] * (double)shape->in[0].width;
    return (mtf_cost){.forward = elements,
                      .dx = need.dx != 0 ? elements : 0,
                      .dw = need.dw != 0 ? 2 * elements : 0};
}

const mtf_op mtf_op_scale_columns = {.name = "scale_columns",
                                     .locality = MTF_LOCAL_ROW,
                                     .check = scale_columns_check,
                                     .forward = scale_columns_forward,
                                     .backward = scale_columns_backward,
                                     .saves = scale_columns_saves,
                                     .cost = scale_columns_cost,
                                     .work = mtf_no_work};
