/* Rows of several tensors side by side, forward and backward.
 *
 *   y[r] = [x0[r], x1[r], ...]     dxk[r] = the columns of dy[r] that are xk's
 *
 * Two to MTF_MAX_IN inputs, each of its own width, all of one row space. Saved for backward: nothing.
 * Cut: by rows. Tolerance family: elementwise (a copy). SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <string.h>

#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

enum { ROWS = 64 };

static mtf_status concat_check(mtf_node_shape *shape, mtf_error *err)
{
    int64_t width = 0;
    for (int k = 0; k < MTF_MAX_IN; k++) {
        if (k < 2 || mtf_has_input(shape, k)) {
            MTF_TRY(mtf_check_input(shape, "concat", k, "x", 0, err));
            MTF_TRY(mtf_check_space(shape, "concat", k, "x", err));
            width += shape->in[k].width;
        }
    }
    mtf_set_output(shape, shape->in[0].space, width);
    return MTF_OK;
}

static void concat_forward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    const int64_t rows = call->span->n_rows[shape->in[0].space];
    mtf_real *y = call->out[0];
    for (int64_t row = 0; row < rows; row++) {
        for (int k = 0; k < MTF_MAX_IN; k++) {
            const int64_t c = shape->in[k].width;
            if (c > 0) {
                memcpy(y, call->in[k] + row * c, (size_t)c * sizeof *y);
                y += c;
            }
        }
    }
}

static void backward_row(const mtf_op_call *call, int64_t row)
{
    const mtf_node_shape *shape = call->shape;
    const mtf_real *dy = call->dout[0] + row * shape->out[0].width;
    for (int k = 0; k < MTF_MAX_IN; k++) {
        const int64_t c = shape->in[k].width;
        if (call->din[k] != NULL && call->din_add[k]) {
            mtf_kernel->add_to(call->din[k] + row * c, dy, c);
        } else if (call->din[k] != NULL) {
            memcpy(call->din[k] + row * c, dy, (size_t)c * sizeof *dy);
        }
        dy += c;
    }
}

static void backward_item(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const int64_t last = mtf_piece_end(call->span->n_rows[call->shape->in[0].space], ROWS, item);
    (void)worker;
    for (int64_t row = item * ROWS; row < last; row++) {
        backward_row(call, row);
    }
}

static void concat_backward(const mtf_op_call *call)
{
    const int64_t rows = call->span->n_rows[call->shape->in[0].space];
    mtf_parallel_for(mtf_pieces(rows, ROWS), backward_item, &call);
}

/* Copies only: no arithmetic. */
static mtf_cost concat_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    (void)shape;
    (void)extent;
    (void)need;
    return (mtf_cost){0};
}

const mtf_op mtf_op_concat = {.name = "concat",
                              .locality = MTF_LOCAL_ROW,
                              .check = concat_check,
                              .forward = concat_forward,
                              .backward = concat_backward,
                              .saves = mtf_saves_nothing,
                              .cost = concat_cost,
                              .work = mtf_no_work};
