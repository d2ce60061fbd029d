/* norm.c: slots, cut and delivery of every norm's backward pass; see norm.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "norm.h"

#include "../base/threads.h"
#include "checks.h"
#include "deliver.h"
#include "span.h"

enum { ROWS = 64 };

mtf_status mtf_norm_check(const mtf_node_shape *shape, const char *op, mtf_error *err)
{
    mtf_status status = mtf_check_input(shape, op, NORM_X, "x", 0, err);
    if (status == MTF_OK && mtf_has_input(shape, NORM_RESIDUAL)) {
        status =
            mtf_check_input(shape, op, NORM_RESIDUAL, "residual", shape->in[NORM_X].width, err);
    }
    if (status == MTF_OK && mtf_has_input(shape, NORM_RESIDUAL)) {
        status = mtf_check_space(shape, op, NORM_RESIDUAL, "residual", err);
    }
    return status;
}

void mtf_norm_set_outputs(mtf_node_shape *shape, int64_t stats)
{
    mtf_set_output(shape, shape->in[NORM_X].space, shape->in[NORM_X].width);
    if (mtf_has_input(shape, NORM_RESIDUAL)) {
        shape->out[NORM_SUM] = shape->out[NORM_Y];
    }
    shape->aux[0].space = shape->in[NORM_X].space;
    shape->aux[0].width = stats;
}

static void rows_item(const mtf_norm_pass *pass, int64_t item, int worker)
{
    const mtf_op_call *call = pass->call;
    const int64_t first = item * ROWS;
    const int64_t m = mtf_piece_end(pass->n_rows, ROWS, item) - first;
    const int64_t at = first * pass->c;
    const int64_t n = m * pass->c;
    mtf_real *dx = call->din[NORM_X] != NULL ? call->din[NORM_X] + at : NULL;
    mtf_real *dresidual = call->din[NORM_RESIDUAL] != NULL ? call->din[NORM_RESIDUAL] + at : NULL;
    const mtf_real *extra = call->dout[NORM_SUM] != NULL ? call->dout[NORM_SUM] + at : NULL;
    const mtf_real *ds = extra;
    if (call->dout[NORM_Y] != NULL) {
        /* straight into a gradient that is overwritten, else by way of the worker's rows */
        mtf_real *target = call->work + (size_t)worker * call->work_stride;
        if (dx != NULL && !call->din_add[NORM_X]) {
            target = dx;
        } else if (dresidual != NULL && !call->din_add[NORM_RESIDUAL]) {
            target = dresidual;
        }
        pass->rows(pass, target, extra, first, m);
        ds = target;
    }
    mtf_deliver(dx, ds, n, call->din_add[NORM_X]);
    mtf_deliver(dresidual, ds, n, call->din_add[NORM_RESIDUAL]);
}

static void backward_item(void *context, int64_t item, int worker)
{
    const mtf_norm_pass *pass = context;
    if (item < pass->n_row_pieces) {
        rows_item(pass, item, worker);
        return;
    }
    item -= pass->n_row_pieces;
    pass->columns(pass, item * pass->piece, mtf_piece_end(pass->n_columns, pass->piece, item));
}

void mtf_norm_backward(const mtf_op_call *call, mtf_norm_pass *pass)
{
    const mtf_node_shape *shape = call->shape;
    pass->call = call;
    pass->sum = mtf_has_input(shape, NORM_RESIDUAL) ? call->out[NORM_SUM] : call->in[NORM_X];
    pass->n_rows = call->span->n_rows[shape->in[NORM_X].space];
    pass->c = shape->in[NORM_X].width;
    pass->n_row_pieces = 0;
    if (call->din[NORM_X] != NULL || call->din[NORM_RESIDUAL] != NULL) {
        pass->n_row_pieces = mtf_pieces(pass->n_rows, ROWS);
    }
    int64_t n_column_pieces = 0;
    if (call->dw[NORM_WEIGHT] != NULL || call->dw[NORM_BIAS] != NULL) {
        n_column_pieces = mtf_pieces(pass->n_columns, pass->piece);
    }
    mtf_parallel_for(pass->n_row_pieces + n_column_pieces, backward_item, pass);
}

mtf_save mtf_norm_saves(const mtf_node_shape *shape, mtf_need need)
{
    mtf_save save = {0};
    if (need.dx != 0 || (need.dw & (1U << NORM_WEIGHT))) {
        if (mtf_has_input(shape, NORM_RESIDUAL)) {
            save.out = 1U << NORM_SUM;
        } else {
            save.in = 1U << NORM_X;
        }
        save.aux = 1U;
    }
    return save;
}

size_t mtf_norm_work(const mtf_node_shape *shape, const mtf_extent *extent, int backward)
{
    (void)extent;
    return backward ? (size_t)ROWS * (size_t)shape->in[NORM_X].width : 0;
}
