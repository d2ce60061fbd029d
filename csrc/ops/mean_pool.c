/* Mean over the rows of each sequence, forward and backward.
 *
 *   y[s] = (sum of x[r] over the rows r of s) / L[s]     dx[r] = dy[s] / L[s]
 *
 * Shapes, what is saved and the cut: pool.h. Rows are added in order. Tolerance family: reduction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <string.h>

#include "../base/flops.h"
#include "checks.h"

static mtf_status mean_pool_check(mtf_node_shape *shape, mtf_error *err)
{
    return mtf_pool_check(shape, "mean_pool", err);
}

static void forward_sequence(const mtf_op_call *call, int64_t s, int64_t first, int64_t last)
{
    const int64_t c = call->shape->in[0].width;
    const mtf_real length = (mtf_real)(last - first);
    mtf_real *y = call->out[0] + s * c;
    memcpy(y, call->in[0] + first * c, (size_t)c * sizeof *y);
    for (int64_t row = first + 1; row < last; row++) {
        mtf_kernel->add_to(y, call->in[0] + row * c, c);
    }
    for (int64_t j = 0; j < c; j++) {
        y[j] /= length;
    }
    mtf_flops_add(MTF_FLOPS_FORWARD, (last - first - 1) * c + c);
}

static void mean_pool_forward(const mtf_op_call *call)
{
    mtf_pool_forward(call, forward_sequence);
}

static void backward_sequence(const mtf_op_call *call, int64_t s, int64_t first, int64_t last)
{
    const int64_t c = call->shape->in[0].width;
    const mtf_real length = (mtf_real)(last - first);
    const mtf_real *dy = call->dout[0] + s * c;
    for (int64_t row = first; row < last; row++) {
        mtf_real *dx = call->din[0] + row * c;
        for (int64_t j = 0; j < c; j++) {
            mtf_real share = dy[j] / length;
            dx[j] = call->din_add[0] ? dx[j] + share : share;
        }
    }
    mtf_flops_add(MTF_FLOPS_DX, (last - first) * c);
}

static void mean_pool_backward(const mtf_op_call *call)
{
    mtf_pool_backward(call, backward_sequence);
}

/* Forward a row less to add than there are, and a division; backward a division an element. */
static mtf_cost mean_pool_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    double elements = (double)extent->n_rows[shape->in[0].space] * (double)shape->in[0].width;
    return (mtf_cost){.forward = elements, .dx = need.dx != 0 ? elements : 0, .dw = 0};
}

const mtf_op mtf_op_mean_pool = {.name = "mean_pool",
                                 .locality = MTF_LOCAL_SEQUENCE,
                                 .check = mean_pool_check,
                                 .forward = mean_pool_forward,
                                 .backward = mean_pool_backward,
                                 .saves = mtf_saves_nothing,
                                 .cost = mean_pool_cost,
                                 .work = mtf_no_work};
