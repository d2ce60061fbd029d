/* The first row of each sequence ("cls" pooling), forward and backward.
 *
 *   y[s] = x[first row of s]     dx[first row of s] = dy[s], all other rows 0
 *
 * Shapes, what is saved and the cut: pool.h. Tolerance family: elementwise (a copy).
 * SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <string.h>

#include "checks.h"

static mtf_status first_pool_check(mtf_node_shape *shape, mtf_error *err)
{
    return mtf_pool_check(shape, "first_pool", err);
}

static void forward_sequence(const mtf_op_call *call, int64_t s, int64_t first, int64_t last)
{
    const int64_t c = call->shape->in[0].width;
    (void)last;
    memcpy(call->out[0] + s * c, call->in[0] + first * c, (size_t)c * sizeof(mtf_real));
}

static void first_pool_forward(const mtf_op_call *call)
{
    mtf_pool_forward(call, forward_sequence);
}

static void backward_sequence(const mtf_op_call *call, int64_t s, int64_t first, int64_t last)
{
    const int64_t c = call->shape->in[0].width;
    mtf_real *dx = call->din[0] + first * c;
    const mtf_real *dy = call->dout[0] + s * c;
    if (call->din_add[0]) {
        mtf_kernel->add_to(dx, dy, c);
        return;
    }
    memcpy(dx, dy, (size_t)c * sizeof *dx);
    memset(dx + c, 0, (size_t)((last - first - 1) * c) * sizeof *dx);
}

static void first_pool_backward(const mtf_op_call *call)
{
    mtf_pool_backward(call, backward_sequence);
}

/* Copies only: no arithmetic. */
static mtf_cost first_pool_cost(const mtf_node_shape *shape, const mtf_extent *extent,
                                mtf_need need)
{
    (void)shape;
    (void)extent;
    (void)need;
    return (mtf_cost){0};
}

const mtf_op mtf_op_first_pool = {.name = "first_pool",
                                  .locality = MTF_LOCAL_SEQUENCE,
                                  .check = first_pool_check,
                                  .forward = first_pool_forward,
                                  .backward = first_pool_backward,
                                  .saves = mtf_saves_nothing,
                                  .cost = first_pool_cost,
                                  .work = mtf_no_work};
