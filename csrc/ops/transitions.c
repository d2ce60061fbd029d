/* Scores of labels that follow each other, from scores of each row's labels and three tables.
 *
 *   y[r] = [ T[i,j] + x[r,j] for i, j  |  start[j] + x[r,j]  |  end[j] ]        (R, K*K + 2K)
 *   dx[r,j] = sum_i dy[r, i,j] + dy[r, start j];  dT, dstart, dend = sums over rows of dy's columns
 *
 * So a loss over whole sequences reads a row alone, and what it gives back arrives at the tables by
 * this operation. Saved for backward: nothing. Cut: dx by rows; the tables by columns of y, rows in
 * order, summed in double: most rows are no words and add zeros. Tolerance family: reduction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "../base/flops.h"
#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "deliver.h"
#include "span.h"

enum { ROWS = 64, COLUMNS = 64 };

enum { TRANSITIONS, START, END, N_TABLES };

static mtf_status transitions_check(mtf_node_shape *shape, mtf_error *err)
{
    MTF_TRY(mtf_check_input(shape, "transitions", 0, "x", 0, err));
    const int64_t k = shape->in[0].width;
    MTF_TRY(mtf_check_weight(shape, "transitions", TRANSITIONS, "transitions", k, k, err));
    MTF_TRY(mtf_check_weight(shape, "transitions", START, "start", k, 1, err));
    MTF_TRY(mtf_check_weight(shape, "transitions", END, "end", k, 1, err));
    mtf_set_output(shape, shape->in[0].space, k * k + 2 * k);
    return MTF_OK;
}

static void transitions_forward(const mtf_op_call *call)
{
    const int64_t k = call->shape->in[0].width;
    const int64_t rows = call->span->n_rows[call->shape->in[0].space];
    const mtf_real *table = call->w[TRANSITIONS]->master, *start = call->w[START]->master;
    const mtf_real *end = call->w[END]->master;
    mtf_real *y = call->out[0];
    for (int64_t row = 0; row < rows; row++) {
        const mtf_real *x = call->in[0] + row * k;
        for (int64_t i = 0; i < k; i++) {
            for (int64_t j = 0; j < k; j++) {
                y[i * k + j] = table[i * k + j] + x[j];
            }
        }
        y += k * k;
        for (int64_t j = 0; j < k; j++) {
            y[j] = start[j] + x[j];
            y[k + j] = end[j];
        }
        y += 2 * k;
    }
    mtf_flops_add(MTF_FLOPS_FORWARD, rows * (k * k + k));
}

static void backward_rows(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const int64_t k = call->shape->in[0].width;
    const int64_t last = mtf_piece_end(call->span->n_rows[call->shape->in[0].space], ROWS, item);
    (void)worker;
    for (int64_t row = item * ROWS; row < last; row++) {
        const mtf_real *dy = call->dout[0] + row * (k * k + 2 * k);
        mtf_real *dx = call->din[0] + row * k;
        mtf_deliver(dx, dy + k * k, k, call->din_add[0]);
        for (int64_t i = 0; i < k; i++) {
            mtf_kernel->add_to(dx, dy + i * k, k);
        }
    }
}

/* Where the gradient of column `column` of y goes; NULL: its table is frozen. */
static mtf_real *place_of(const mtf_op_call *call, int64_t column, int *add)
{
    const int64_t k = call->shape->in[0].width;
    const int table = column < k * k ? TRANSITIONS : column < k * k + k ? START : END;
    const int64_t first = table == TRANSITIONS ? 0 : table == START ? k * k : k * k + k;
    *add = call->dw_add[table];
    return call->dw[table] != NULL ? call->dw[table] + (column - first) : NULL;
}

static void backward_columns(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const int64_t width = call->shape->out[0].width;
    const int64_t rows = call->span->n_rows[call->shape->in[0].space];
    const int64_t first = item * COLUMNS, last = mtf_piece_end(width, COLUMNS, item);
    double sums[COLUMNS] = {0};
    (void)worker;
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t j = first; j < last; j++) {
            sums[j - first] += (double)call->dout[0][row * width + j];
        }
    }
    for (int64_t j = first; j < last; j++) {
        int add = 0;
        mtf_real *dw = place_of(call, j, &add);
        if (dw != NULL) {
            *dw = (mtf_real)((add ? (double)*dw : 0) + sums[j - first]);
        }
    }
}

static int any_table(mtf_real *const *dw)
{
    return dw[TRANSITIONS] != NULL || dw[START] != NULL || dw[END] != NULL;
}

static void transitions_backward(const mtf_op_call *call)
{
    const int64_t rows = call->span->n_rows[call->shape->in[0].space];
    const int64_t width = call->shape->out[0].width;
    if (call->din[0] != NULL) {
        mtf_parallel_for(mtf_pieces(rows, ROWS), backward_rows, &call);
        mtf_flops_add(MTF_FLOPS_DX, rows * (width - 2 * call->shape->in[0].width));
    }
    if (any_table(call->dw)) {
        mtf_parallel_for(mtf_pieces(width, COLUMNS), backward_columns, &call);
        mtf_flops_add(MTF_FLOPS_DW, rows * width);
    }
}

static mtf_cost transitions_cost(const mtf_node_shape *shape, const mtf_extent *extent,
                                 mtf_need need)
{
    const double rows = (double)extent->n_rows[shape->in[0].space];
    const double k = (double)shape->in[0].width;
    return (mtf_cost){.forward = rows * (k * k + k),
                      .dx = need.dx != 0 ? rows * k * k : 0,
                      .dw = need.dw != 0 ? rows * (k * k + 2 * k) : 0};
}

const mtf_op mtf_op_transitions = {.name = "transitions",
                                   .locality = MTF_LOCAL_ROW,
                                   .check = transitions_check,
                                   .forward = transitions_forward,
                                   .backward = transitions_backward,
                                   .saves = mtf_saves_nothing,
                                   .cost = transitions_cost,
                                   .work = mtf_no_work};
