/* The gated product of a feed-forward block, forward and backward.
 *
 *   y = act(a) * b      da = dy * b * act'(a)      db = dy * act(a)
 *
 * a and b are two inputs, or the halves of one (one product made both); of two halves the first is
 * activated, with gate_last the second. Saved for backward: a, and b where da is asked for.
 * Cut: by rows. Tolerance family: elementwise. Reference: Dauphin et al. 2017, Shazeer 2020.
 * Derivation: docs/derivations/gated.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

enum { ROWS = 64 };

enum { A, B };

static mtf_status gated_check(mtf_node_shape *shape, mtf_error *err)
{
    const int64_t width = shape->in[A].width;
    const int is_pair = mtf_has_input(shape, B);
    mtf_status status = mtf_check_input(shape, "gated", A, "a", 0, err);
    if (status == MTF_OK && is_pair) {
        status = mtf_check_input(shape, "gated", B, "b", width, err);
    }
    if (status == MTF_OK && is_pair) {
        status = mtf_check_space(shape, "gated", B, "b", err);
    }
    if (status == MTF_OK && !is_pair && width % 2 != 0) {
        status = mtf_fail(err, MTF_ERR_SHAPE,
                          "%s: gated expects two halves of one width in its only input, found %lld "
                          "columns; change the configured sizes",
                          shape->label, (long long)width);
    }
    if (status == MTF_OK) {
        mtf_set_output(shape, shape->in[A].space, is_pair ? width : width / 2);
    }
    return status;
}

/* Where what is activated and its factor lie: input and first column of each. */
typedef struct sides {
    int activated, factor;
    int64_t activated_at, factor_at;
} sides;

static sides sides_of(const mtf_node_shape *shape)
{
    sides found = {.activated = A, .factor = B};
    if (!mtf_has_input(shape, B)) {
        found.factor = A;
        found.activated_at = shape->attrs.gate_last ? shape->out[0].width : 0;
        found.factor_at = shape->attrs.gate_last ? 0 : shape->out[0].width;
    }
    return found;
}

static void gated_forward(const mtf_op_call *call)
{
    const mtf_node_shape *shape = call->shape;
    const sides at = sides_of(shape);
    mtf_kernel->gated_fwd(call->out[0], call->in[at.activated] + at.activated_at,
                          shape->in[at.activated].width, call->in[at.factor] + at.factor_at,
                          shape->in[at.factor].width, call->span->n_rows[shape->in[A].space],
                          shape->out[0].width, shape->attrs.activation);
}

/* `column` of row `first` of input `i` of the call, in values (R, width); NULL stays. */
#define AT(values, i, column)                                                                      \
    ((values)[i] != NULL ? (values)[i] + first * shape->in[i].width + (column) : NULL)

static void backward_item(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const mtf_node_shape *shape = call->shape;
    const sides at = sides_of(shape);
    const int64_t first = item * ROWS;
    const int64_t last = mtf_piece_end(call->span->n_rows[shape->in[A].space], ROWS, item);
    (void)worker;
    mtf_kernel->gated_bwd(
        AT(call->din, at.activated, at.activated_at), AT(call->din, at.factor, at.factor_at),
        call->dout[0] + first * shape->out[0].width, AT(call->in, at.activated, at.activated_at),
        shape->in[at.activated].width, AT(call->in, at.factor, at.factor_at),
        shape->in[at.factor].width, last - first, shape->out[0].width, shape->attrs.activation,
        call->din_add[at.activated], call->din_add[at.factor]);
}

static void gated_backward(const mtf_op_call *call)
{
    const int64_t rows = call->span->n_rows[call->shape->in[A].space];
    mtf_parallel_for(mtf_pieces(rows, ROWS), backward_item, &call);
}

static mtf_save gated_saves(const mtf_node_shape *shape, mtf_need need)
{
    const sides at = sides_of(shape);
    mtf_save save = {0};
    if (need.dx != 0) {
        save.in = 1U << at.activated;
    }
    if (need.dx >> at.activated & 1U) {
        save.in |= 1U << at.factor;
    }
    return save;
}

/* Operations an element as kernels/count.c has them. */
static mtf_cost gated_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    const double elements =
        (double)extent->n_rows[shape->in[A].space] * (double)shape->out[0].width;
    const sides at = sides_of(shape);
    const int n = (need.dx >> at.activated & 1U) + (need.dx >> at.factor & 1U);
    return (mtf_cost){.forward = (1 + (shape->attrs.activation != MTF_ACT_NONE)) * elements,
                      .dx = 2 * n * elements};
}

const mtf_op mtf_op_gated = {.name = "gated",
                             .locality = MTF_LOCAL_ROW,
                             .check = gated_check,
                             .forward = gated_forward,
                             .backward = gated_backward,
                             .saves = gated_saves,
                             .cost = gated_cost,
                             .work = mtf_no_work};
