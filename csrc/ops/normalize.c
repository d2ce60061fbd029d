/* Division of each row by its Euclidean norm, forward and backward.
 *
 *   m = max(|x|, eps)     y = x / m
 *   dx = (dy - y (y . dy)) / m     and dx = dy / m where |x| <= eps, since m is then constant
 *
 * Saved for backward: y and m. Cut: by rows. Sums over lanes in double. Tolerance family: reduction.
 * Reference: torch.nn.functional.normalize, whose eps is 1e-12.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <math.h>

#include "../base/flops.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

enum { ROWS = 64 };

static mtf_status normalize_check(mtf_node_shape *shape, mtf_error *err)
{
    mtf_status status = mtf_check_input(shape, "normalize", 0, "x", 0, err);
    if (status == MTF_OK) {
        status = mtf_check_eps(shape, "normalize", err);
    }
    if (status == MTF_OK) {
        mtf_set_output(shape, shape->in[0].space, shape->in[0].width);
        shape->aux[0].space = shape->in[0].space;
        shape->aux[0].width = 1;
    }
    return status;
}

static void normalize_forward(const mtf_op_call *call)
{
    int64_t rows = call->span->n_rows[call->shape->in[0].space];
    int64_t c = call->shape->in[0].width;
    mtf_real eps = call->shape->attrs.eps;
    for (int64_t row = 0; row < rows; row++) {
        const mtf_real *x = call->in[0] + row * c;
        mtf_real *y = call->out[0] + row * c;
        mtf_real norm = (mtf_real)sqrt(mtf_kernel->sum_squares(x, c));
        if (norm < eps) { /* not the other way round: a NaN must stay one */
            norm = eps;
        }
        for (int64_t j = 0; j < c; j++) {
            y[j] = x[j] / norm;
        }
        mtf_flops_add(MTF_FLOPS_FORWARD, 2 * c + c); /* squares and their sum; division */
        if (call->aux[0] != NULL) {
            call->aux[0][row] = norm;
        }
    }
}

/* dx (C) = or += gradient of one row, from dy, y (C) and its norm. */
static void backward_row(mtf_real *dx, const mtf_real *dy, const mtf_real *y, mtf_real norm,
                         mtf_real eps, int64_t c, int add)
{
    double dot = 0;
    if (norm > eps) {
        for (int64_t j = 0; j < c; j++) {
            dot += (double)y[j] * (double)dy[j];
        }
        mtf_flops_add(MTF_FLOPS_DX, 2 * c);
    }
    mtf_real along = (mtf_real)dot;
    for (int64_t j = 0; j < c; j++) {
        mtf_real value = (dy[j] - y[j] * along) / norm;
        dx[j] = add ? dx[j] + value : value;
    }
    mtf_flops_add(MTF_FLOPS_DX, 3 * c);
}

static void backward_item(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    int64_t c = call->shape->in[0].width;
    (void)worker;
    int64_t last = mtf_piece_end(call->span->n_rows[call->shape->in[0].space], ROWS, item);
    for (int64_t row = item * ROWS; row < last; row++) {
        backward_row(call->din[0] + row * c, call->dout[0] + row * c, call->out[0] + row * c,
                     call->aux[0][row], call->shape->attrs.eps, c, call->din_add[0]);
    }
}

static void normalize_backward(const mtf_op_call *call)
{
    if (call->din[0] == NULL) {
        return;
    }
    int64_t rows = call->span->n_rows[call->shape->in[0].space];
    mtf_parallel_for(mtf_pieces(rows, ROWS), backward_item, &call);
}

static mtf_save normalize_saves(const mtf_node_shape *shape, mtf_need need)
{
    (void)shape;
    return (mtf_save){.in = 0, .out = need.dx ? 1U : 0U, .aux = need.dx ? 1U : 0U};
}

/* Operations an element: forward square, sum and division; dx a dot product (which rows shorter than
 * eps do without), its share, division. */
static mtf_cost normalize_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    double elements = (double)extent->n_rows[shape->in[0].space] * (double)shape->in[0].width;
    return (mtf_cost){.forward = 3 * elements, .dx = need.dx != 0 ? 5 * elements : 0, .dw = 0};
}

const mtf_op mtf_op_normalize = {.name = "normalize",
                                 .locality = MTF_LOCAL_ROW,
                                 .check = normalize_check,
                                 .forward = normalize_forward,
                                 .backward = normalize_backward,
                                 .saves = normalize_saves,
                                 .cost = normalize_cost,
                                 .work = mtf_no_work};
