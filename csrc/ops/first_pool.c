/* The first row of each sequence ("cls" pooling), forward and backward.
 *
 *   y[s] = x[first row of s]     dx[first row of s] = dy[s], all other rows 0
 *
 * x (R,C) of any space, y (B,C). Saved for backward: nothing, offsets are enough.
 * Cut: by sequences. Tolerance family: elementwise (a copy).
 * Callers guarantee at least one row in each sequence. SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <string.h>

#include "../base/threads.h"
#include "checks.h"
#include "span.h"

static mtf_status first_pool_check(mtf_node_shape *shape, mtf_error *err)
{
    mtf_status status = mtf_check_input(shape, "first_pool", 0, "x", 0, err);
    if (status == MTF_OK) {
        mtf_set_output(shape, MTF_SPACE_SEQUENCES, shape->in[0].width);
    }
    return status;
}

static void first_pool_forward(const mtf_op_call *call)
{
    int32_t space = call->shape->in[0].space;
    int64_t c = call->shape->in[0].width;
    for (int64_t s = 0; s < call->span->n_sequences; s++) {
        memcpy(call->out[0] + s * c, call->in[0] + mtf_span_start(call->span, space, s) * c,
               (size_t)c * sizeof(mtf_real));
    }
}

static void backward_item(void *context, int64_t s, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    int32_t space = call->shape->in[0].space;
    int64_t c = call->shape->in[0].width;
    (void)worker;
    int64_t first = mtf_span_start(call->span, space, s);
    int64_t last = mtf_span_start(call->span, space, s + 1);
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
    if (call->din[0] != NULL) {
        mtf_parallel_for(call->span->n_sequences, backward_item, &call);
    }
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
