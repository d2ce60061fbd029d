/* An activation by itself, forward and backward: where something stands between it and its product.
 *
 *   y = act(x)      dx = dy * act'(x)
 *
 * The kernels are those of a linear layer's activation, so y has its bits. Saved for backward: x.
 * Cut: by rows. Tolerance family: elementwise. Derivation: docs/derivations/gelu.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "../base/threads.h"
#include "checks.h"
#include "span.h"

#include <string.h>

enum { ROWS = 64 };

static mtf_status activation_check(mtf_node_shape *shape, mtf_error *err)
{
    mtf_status status = mtf_check_input(shape, "activation", 0, "x", 0, err);
    if (status == MTF_OK) {
        mtf_set_output(shape, shape->in[0].space, shape->in[0].width);
    }
    return status;
}

static void activation_forward(const mtf_op_call *call)
{
    const int64_t c = call->shape->in[0].width;
    const int64_t rows = call->span->n_rows[call->shape->in[0].space];
    memcpy(call->out[0], call->in[0], (size_t)(rows * c) * sizeof(mtf_real));
    mtf_kernel->bias_act_fwd(call->out[0], NULL, NULL, rows, c, call->shape->attrs.activation);
}

/* What a gradient is added to is read after the kernel wrote, so a strip at a time. */
static void backward_item(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const int64_t c = call->shape->in[0].width;
    const int64_t first = item * ROWS;
    const int64_t last = mtf_piece_end(call->span->n_rows[call->shape->in[0].space], ROWS, item);
    const mtf_activation activation = call->shape->attrs.activation;
    mtf_real *strip = call->work + (size_t)worker * call->work_stride;
    for (int64_t row = first; row < last; row++) {
        mtf_real *dx = call->din[0] + row * c;
        mtf_kernel->act_bwd(call->din_add[0] ? strip : dx, call->dout[0] + row * c,
                            call->in[0] + row * c, c, activation);
        if (call->din_add[0]) {
            mtf_kernel->add_to(dx, strip, c);
        }
    }
}

static void activation_backward(const mtf_op_call *call)
{
    const int64_t rows = call->span->n_rows[call->shape->in[0].space];
    if (call->din[0] != NULL) {
        mtf_parallel_for(mtf_pieces(rows, ROWS), backward_item, &call);
    }
}

static mtf_save activation_saves(const mtf_node_shape *shape, mtf_need need)
{
    (void)shape;
    return (mtf_save){.in = need.dx & 1U};
}

/* As kernels/count.c has it: one operation an element. */
static mtf_cost activation_cost(const mtf_node_shape *shape, const mtf_extent *extent,
                                mtf_need need)
{
    const double elements =
        shape->attrs.activation == MTF_ACT_NONE
            ? 0
            : (double)extent->n_rows[shape->in[0].space] * (double)shape->in[0].width;
    return (mtf_cost){.forward = elements, .dx = need.dx != 0 ? elements : 0};
}

static size_t activation_work(const mtf_node_shape *shape, const mtf_extent *extent, int backward)
{
    (void)extent;
    return backward ? (size_t)shape->in[0].width : 0;
}

const mtf_op mtf_op_activation = {.name = "activation",
                                  .locality = MTF_LOCAL_ROW,
                                  .check = activation_check,
                                  .forward = activation_forward,
                                  .backward = activation_backward,
                                  .saves = activation_saves,
                                  .cost = activation_cost,
                                  .work = activation_work};
