/* The sum of two tensors: where a pre-norm layer adds to the stream that passes it by.
 *
 *   y = a + b     da = db = dy
 *
 * Nothing is saved. Cut: by rows. Tolerance family: elementwise.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <string.h>

#include "../base/flops.h"
#include "../base/threads.h"
#include "checks.h"
#include "deliver.h"
#include "span.h"

enum { ROWS = 64 };

enum { A, B };

static mtf_status add_check(mtf_node_shape *shape, mtf_error *err)
{
    mtf_status status = mtf_check_input(shape, "add", A, "a", 0, err);
    if (status == MTF_OK) {
        status = mtf_check_input(shape, "add", B, "b", shape->in[A].width, err);
    }
    if (status == MTF_OK) {
        status = mtf_check_space(shape, "add", B, "b", err);
    }
    if (status == MTF_OK) {
        mtf_set_output(shape, shape->in[A].space, shape->in[A].width);
    }
    return status;
}

static void add_forward(const mtf_op_call *call)
{
    const int64_t c = call->shape->in[A].width;
    const int64_t rows = call->span->n_rows[call->shape->in[A].space];
    for (int64_t at = 0; at < rows * c; at += c) { /* by rows: the copy is still in the cache */
        memcpy(call->out[0] + at, call->in[A] + at, (size_t)c * sizeof(mtf_real));
        mtf_kernel->add_to(call->out[0] + at, call->in[B] + at, c);
    }
    mtf_flops_add(MTF_FLOPS_FORWARD, rows * c);
}

static void backward_item(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const int64_t c = call->shape->in[A].width;
    const int64_t first = item * ROWS;
    const int64_t last = mtf_piece_end(call->span->n_rows[call->shape->in[A].space], ROWS, item);
    (void)worker;
    for (int i = A; i <= B; i++) {
        mtf_real *din = call->din[i] != NULL ? call->din[i] + first * c : NULL;
        mtf_deliver(din, call->dout[0] + first * c, (last - first) * c, call->din_add[i]);
    }
}

static void add_backward(const mtf_op_call *call)
{
    const int64_t rows = call->span->n_rows[call->shape->in[A].space];
    mtf_parallel_for(mtf_pieces(rows, ROWS), backward_item, &call);
}

/* Backward hands on what arrives. */
static mtf_cost add_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    (void)need;
    return (mtf_cost){.forward =
                          (double)extent->n_rows[shape->in[A].space] * (double)shape->in[A].width};
}

const mtf_op mtf_op_add = {.name = "add",
                           .locality = MTF_LOCAL_ROW,
                           .check = add_check,
                           .forward = add_forward,
                           .backward = add_backward,
                           .saves = mtf_saves_nothing,
                           .cost = add_cost,
                           .work = mtf_no_work};
