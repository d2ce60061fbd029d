/* Rotary positions: pairs of columns of a head turned by angles that grow with the place in the
 * sequence, forward and backward.
 *
 *   angle[k] = place * theta^(-2k / r)      y1 = x1 cos - x2 sin      y2 = x2 cos + x1 sin
 *   dx: the same with the angles negated
 *
 * r = rotary_width, k = 0 .. r/2 - 1; x1, x2 are the first and the second half of a head's first r
 * columns. Columns beyond them, and heads beyond the first n_rotated, are copied: queries, keys and
 * values of one product are one call. Nothing is saved.
 * Precision: frequency, angle, cosine and sine each rounded to mtf_real. Cut: by rows.
 * Tolerance family: elementwise. Reference: Su et al. 2021. Derivation: docs/derivations/rotary.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <math.h>

#include "../base/flops.h"
#include "../base/real.h"
#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "deliver.h"
#include "span.h"

enum { ROWS = 64 };

/* A finite theta whose powers are normal numbers and no angle is lost. */
static mtf_status check_theta(const mtf_node_shape *shape, mtf_error *err)
{
    const double theta = shape->attrs.theta;
    if (!(theta >= 1 && theta <= 1e30)) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: rotary expects a theta of at least 1 and at most 1e30, found %g; "
                        "correct the configuration",
                        shape->label, theta);
    }
    return MTF_OK;
}

static mtf_status rotary_check(mtf_node_shape *shape, mtf_error *err)
{
    const int64_t d = shape->attrs.head_width;
    const int64_t r = shape->attrs.rotary_width;
    const int64_t width = shape->in[0].width;
    mtf_status status = mtf_check_input(shape, "rotary", 0, "x", 0, err);
    if (status == MTF_OK && (d <= 0 || width % d != 0)) {
        status = mtf_fail(err, MTF_ERR_SHAPE,
                          "%s: rotary expects whole heads of %lld columns, found a width of %lld; "
                          "change the configured sizes",
                          shape->label, (long long)d, (long long)width);
    }
    if (status == MTF_OK && (r <= 0 || r > d || r % 2 != 0)) {
        status = mtf_fail(err, MTF_ERR_SHAPE,
                          "%s: rotary expects an even number of columns to turn, at most the %lld "
                          "of a head, found %lld; change the configured sizes",
                          shape->label, (long long)d, (long long)r);
    }
    if (status == MTF_OK && (shape->attrs.n_rotated <= 0 || shape->attrs.n_rotated > width / d)) {
        status = mtf_fail(err, MTF_ERR_SHAPE,
                          "%s: rotary expects 1 to %lld heads to turn, found %d; change the "
                          "configured sizes",
                          shape->label, (long long)(width / d), (int)shape->attrs.n_rotated);
    }
    if (status == MTF_OK) {
        status = check_theta(shape, err);
    }
    if (status == MTF_OK) {
        mtf_set_output(shape, shape->in[0].space, width);
    }
    return status;
}

/* Angles of a row: frequencies, cosines and sines, (half) each, in a worker's work. */
typedef struct turn {
    mtf_real *frequency, *cosine, *sine;
    int64_t half;
} turn;

static turn turn_new(const mtf_op_call *call, int worker)
{
    const double theta = call->shape->attrs.theta;
    const int64_t half = call->shape->attrs.rotary_width / 2;
    mtf_real *work = call->work + (size_t)worker * call->work_stride;
    turn made = {work, work + half, work + 2 * half, half};
    for (int64_t k = 0; k < half; k++) {
        const mtf_real exponent = (mtf_real)(2 * k) / (mtf_real)(2 * half);
        made.frequency[k] = 1 / (mtf_real)pow(theta, (double)exponent);
    }
    return made;
}

/* direction 1 turns forward, -1 back. */
static void turn_set(turn *by, int64_t place, mtf_real direction)
{
    for (int64_t k = 0; k < by->half; k++) {
        const mtf_real angle = (mtf_real)place * by->frequency[k];
        by->cosine[k] = mtf_cos(angle);
        by->sine[k] = direction * mtf_sin(angle);
    }
}

/* to (R,W) = or += turned from (R,W), rows first .. last-1 of the span. */
static void turn_rows(const mtf_op_call *call, int worker, mtf_real *to, const mtf_real *from,
                      int64_t first, int64_t last, mtf_real direction, int add)
{
    const mtf_node_shape *shape = call->shape;
    const int32_t space = shape->in[0].space;
    const int64_t width = shape->in[0].width;
    const int64_t turned = shape->attrs.n_rotated * shape->attrs.head_width;
    turn by = turn_new(call, worker);
    int64_t row = first;
    for (int64_t s = mtf_span_find(call->span, space, first); row < last; s++) {
        const int64_t start = mtf_span_start(call->span, space, s);
        const int64_t end = mtf_span_start(call->span, space, s + 1);
        for (; row < end && row < last; row++) {
            const mtf_real *x = from + row * width;
            mtf_real *y = to + row * width;
            turn_set(&by, row - start, direction);
            mtf_kernel->rotary_row(y, x, by.cosine, by.sine, shape->attrs.n_rotated,
                                   shape->attrs.head_width, by.half, add);
            mtf_deliver(y + turned, x + turned, width - turned, add);
        }
    }
}

/* Three operations a column that is turned. */
static int64_t flops_a_row(const mtf_node_shape *shape)
{
    return 3 * shape->attrs.n_rotated * shape->attrs.rotary_width;
}

static void rotary_forward(const mtf_op_call *call)
{
    const int64_t rows = call->span->n_rows[call->shape->in[0].space];
    turn_rows(call, 0, call->out[0], call->in[0], 0, rows, 1, 0);
    mtf_flops_add(MTF_FLOPS_FORWARD, rows * flops_a_row(call->shape));
}

static void backward_item(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const int64_t first = item * ROWS;
    const int64_t last = mtf_piece_end(call->span->n_rows[call->shape->in[0].space], ROWS, item);
    turn_rows(call, worker, call->din[0], call->dout[0], first, last, -1, call->din_add[0]);
    mtf_flops_add(MTF_FLOPS_DX, (last - first) * flops_a_row(call->shape));
}

static void rotary_backward(const mtf_op_call *call)
{
    const int64_t rows = call->span->n_rows[call->shape->in[0].space];
    mtf_parallel_for(mtf_pieces(rows, ROWS), backward_item, &call);
}

static mtf_cost rotary_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    const double operations =
        (double)extent->n_rows[shape->in[0].space] * (double)flops_a_row(shape);
    return (mtf_cost){.forward = operations, .dx = need.dx != 0 ? operations : 0};
}

static size_t rotary_work(const mtf_node_shape *shape, const mtf_extent *extent, int backward)
{
    (void)extent;
    (void)backward;
    return 3 * ((size_t)shape->attrs.rotary_width / 2);
}

const mtf_op mtf_op_rotary = {.name = "rotary",
                              .locality = MTF_LOCAL_SEQUENCE,
                              .check = rotary_check,
                              .forward = rotary_forward,
                              .backward = rotary_backward,
                              .saves = mtf_saves_nothing,
                              .cost = rotary_cost,
                              .work = rotary_work};
