/* One row of each sequence: its first ("cls" pooling) or its last, forward and backward.
 *
 *   y[s] = x[row of s]     dx[row of s] = dy[s], all other rows 0
 *
 * Which rows there are, what is saved and the cut: pool.h. Tolerance family: elementwise (a copy).
 * SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <string.h>

#include "checks.h"

static mtf_status row_pool_check(mtf_node_shape *shape, mtf_error *err)
{
    return mtf_pool_check(shape, "row_pool", MTF_POOL_FIRST, MTF_POOL_LAST, err);
}

static int64_t chosen(const mtf_op_call *call, const mtf_pool_rows *rows)
{
    return call->shape->attrs.pooling == MTF_POOL_FIRST ? rows->first : rows->end - 1;
}

static void forward_sequence(const mtf_op_call *call, const mtf_pool_rows *rows)
{
    const int64_t c = call->shape->in[MTF_POOL_X].width;
    memcpy(call->out[0] + rows->sequence * c, call->in[MTF_POOL_X] + chosen(call, rows) * c,
           (size_t)c * sizeof(mtf_real));
}

static void row_pool_forward(const mtf_op_call *call)
{
    mtf_pool_forward(call, forward_sequence);
}

static void backward_sequence(const mtf_op_call *call, const mtf_pool_rows *rows)
{
    const int64_t c = call->shape->in[MTF_POOL_X].width;
    const mtf_real *dy = call->dout[0] + rows->sequence * c;
    mtf_real *dx = call->din[MTF_POOL_X] + chosen(call, rows) * c;
    if (call->din_add[MTF_POOL_X]) {
        mtf_kernel->add_to(dx, dy, c);
        return;
    }
    memset(call->din[MTF_POOL_X] + rows->first * c, 0,
           (size_t)((rows->end - rows->first) * c) * sizeof *dx);
    memcpy(dx, dy, (size_t)c * sizeof *dx);
}

static void row_pool_backward(const mtf_op_call *call)
{
    mtf_pool_backward(call, backward_sequence);
}

/* Copies only: no arithmetic. */
static mtf_cost row_pool_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    (void)shape;
    (void)extent;
    (void)need;
    return (mtf_cost){0};
}

const mtf_op mtf_op_row_pool = {.name = "row_pool",
                                .locality = MTF_LOCAL_SEQUENCE,
                                .check = row_pool_check,
                                .forward = row_pool_forward,
                                .backward = row_pool_backward,
                                .saves = mtf_pool_saves,
                                .cost = row_pool_cost,
                                .work = mtf_no_work};
