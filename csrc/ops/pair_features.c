/* What tells two sequences apart: both vectors and their distance by column, forward and backward.
 *
 *   y[p] = [u, v, |u - v|]     u = x[s], v = x[s + 1], s the sequence that has row p
 *   du = dy_u + sign(u - v) dy_d     dv = dy_v - sign(u - v) dy_d     sign(0) = 0
 *
 * A sequence may be the second of one pair and the first of the next; its gradients add up in that
 * order. Saved for backward: x. Callers guarantee that a sequence with a row has one behind it in the
 * same span. Cut: by sequences, backward on all workers. Tolerance family: elementwise.
 * Reference: sentence-transformers' SoftmaxLoss. SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <string.h>

#include "../base/flops.h"
#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

static mtf_status pair_check(mtf_node_shape *shape, mtf_error *err)
{
    MTF_TRY(mtf_check_input(shape, "pair_features", 0, "x", 0, err));
    if (shape->in[0].space != MTF_SPACE_SEQUENCES ||
        shape->attrs.pair_space == MTF_SPACE_SEQUENCES) {
        return mtf_fail(err, MTF_ERR_SHAPE,
                        "%s: pair_features expects one row a sequence, and a row space of pairs; "
                        "found others; pool the rows first",
                        shape->label);
    }
    mtf_set_output(shape, shape->attrs.pair_space, 3 * shape->in[0].width);
    return MTF_OK;
}

/* The row of the pair that a sequence of the span begins; -1: it begins none. */
static int64_t row_of(const mtf_op_call *call, int64_t sequence)
{
    const int32_t space = call->shape->attrs.pair_space;
    const int64_t row = mtf_span_start(call->span, space, sequence);
    return row < mtf_span_start(call->span, space, sequence + 1) ? row : -1;
}

static void pair_forward(const mtf_op_call *call)
{
    const int64_t c = call->shape->in[0].width;
    for (int64_t s = 0; s < call->span->n_sequences; s++) {
        const int64_t row = row_of(call, s);
        if (row < 0) {
            continue;
        }
        const mtf_real *u = call->in[0] + s * c, *v = u + c;
        mtf_real *y = call->out[0] + row * 3 * c;
        memcpy(y, u, 2 * (size_t)c * sizeof *y);
        for (int64_t j = 0; j < c; j++) {
            const mtf_real d = u[j] - v[j];
            y[2 * c + j] = d < 0 ? -d : d;
        }
        mtf_flops_add(MTF_FLOPS_FORWARD, c);
    }
}

/* dx (C) += the share of a pair whose sequences have u, v (C); `side` 0: that of u, 1: of v.
 * dy (3C). */
static void add_share(mtf_real *dx, const mtf_real *dy, const mtf_real *u, const mtf_real *v,
                      int64_t c, int side)
{
    const mtf_real *own = dy + side * c, *apart = dy + 2 * c;
    for (int64_t j = 0; j < c; j++) {
        const mtf_real sign = (mtf_real)((u[j] > v[j]) - (u[j] < v[j]));
        dx[j] += own[j] + (side == 0 ? sign : -sign) * apart[j];
    }
    mtf_flops_add(MTF_FLOPS_DX, 2 * c);
}

static void backward_item(void *context, int64_t sequence, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const int64_t c = call->shape->in[0].width;
    const mtf_real *x = call->in[0] + sequence * c;
    mtf_real *dx = call->din[0] + sequence * c;
    const int64_t before = sequence > 0 ? row_of(call, sequence - 1) : -1;
    const int64_t own = row_of(call, sequence);
    (void)worker;
    if (!call->din_add[0]) {
        memset(dx, 0, (size_t)c * sizeof *dx);
    }
    if (before >= 0) {
        add_share(dx, call->dout[0] + before * 3 * c, x - c, x, c, 1);
    }
    if (own >= 0) {
        add_share(dx, call->dout[0] + own * 3 * c, x, x + c, c, 0);
    }
}

static void pair_backward(const mtf_op_call *call)
{
    if (call->din[0] != NULL) {
        mtf_parallel_for(call->span->n_sequences, backward_item, &call);
    }
}

static mtf_save pair_saves(const mtf_node_shape *shape, mtf_need need)
{
    (void)shape;
    return (mtf_save){.in = need.dx != 0 ? 1U : 0U};
}

/* A difference an element; backward a product and a sum for each of two sequences. */
static mtf_cost pair_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    const double elements =
        (double)extent->n_rows[shape->attrs.pair_space] * (double)shape->in[0].width;
    return (mtf_cost){.forward = elements, .dx = need.dx != 0 ? 4 * elements : 0, .dw = 0};
}

const mtf_op mtf_op_pair_features = {.name = "pair_features",
                                     .locality = MTF_LOCAL_NEIGHBOURS,
                                     .check = pair_check,
                                     .forward = pair_forward,
                                     .backward = pair_backward,
                                     .saves = pair_saves,
                                     .cost = pair_cost,
                                     .work = mtf_no_work};
