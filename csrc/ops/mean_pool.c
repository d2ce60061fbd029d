/* Means over the rows of each sequence, forward and backward.
 *
 *   y[s] = (sum of w[r] x[r] over the rows r of s) / n     dx[r] = w[r] dy[s] / n
 *   mean:          w[r] = 1, n = number of rows
 *   mean_sqrt_len: w[r] = 1, n = its square root
 *   weighted mean: w[r] = place of r in its sequence, from 1; n = sum of w. Rows that are left out do
 *                  not change the places of the others.
 *
 * Which rows there are, what is saved and the cut: pool.h. Rows are added in order. Tolerance family:
 * reduction. SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <math.h>
#include <string.h>

#include "../base/flops.h"
#include "checks.h"

static mtf_status mean_pool_check(mtf_node_shape *shape, mtf_error *err)
{
    return mtf_pool_check(shape, "mean_pool", MTF_POOL_MEAN, MTF_POOL_WEIGHTED_MEAN, err);
}

static int weighted(const mtf_node_shape *shape)
{
    return shape->attrs.pooling == MTF_POOL_WEIGHTED_MEAN;
}

/* n of the formula. */
static mtf_real divisor(const mtf_node_shape *shape, const mtf_pool_rows *rows)
{
    const double n = (double)(rows->end - rows->first);
    switch (shape->attrs.pooling) {
    case MTF_POOL_MEAN_SQRT_LEN:
        return (mtf_real)sqrt(n);
    case MTF_POOL_WEIGHTED_MEAN:
        return (mtf_real)(n * (double)(rows->first + rows->end + 1 - 2 * rows->begin) / 2);
    default:
        return (mtf_real)n;
    }
}

/* Operations an element, forward and backward: a sum and, by rows, a weight. */
static int64_t per_element(const mtf_node_shape *shape)
{
    return weighted(shape) ? 2 : 1;
}

static void add_weighted(mtf_real *y, const mtf_real *x, mtf_real weight, int64_t c)
{
    for (int64_t j = 0; j < c; j++) {
        y[j] += weight * x[j];
    }
}

static void forward_sequence(const mtf_op_call *call, const mtf_pool_rows *rows)
{
    const mtf_node_shape *shape = call->shape;
    const int64_t c = shape->in[MTF_POOL_X].width;
    const mtf_real *x = call->in[MTF_POOL_X];
    const mtf_real n = divisor(shape, rows);
    mtf_real *y = call->out[0] + rows->sequence * c;
    if (weighted(shape)) {
        memset(y, 0, (size_t)c * sizeof *y);
        for (int64_t row = rows->first; row < rows->end; row++) {
            add_weighted(y, x + row * c, (mtf_real)(row - rows->begin + 1), c);
        }
    } else {
        memcpy(y, x + rows->first * c, (size_t)c * sizeof *y);
        for (int64_t row = rows->first + 1; row < rows->end; row++) {
            mtf_kernel->add_to(y, x + row * c, c);
        }
    }
    for (int64_t j = 0; j < c; j++) {
        y[j] /= n;
    }
    mtf_flops_add(MTF_FLOPS_FORWARD, per_element(shape) * (rows->end - rows->begin) * c);
}

static void mean_pool_forward(const mtf_op_call *call)
{
    mtf_pool_forward(call, forward_sequence);
}

static void backward_sequence(const mtf_op_call *call, const mtf_pool_rows *rows)
{
    const mtf_node_shape *shape = call->shape;
    const int64_t c = shape->in[MTF_POOL_X].width;
    const mtf_real n = divisor(shape, rows);
    const mtf_real *dy = call->dout[0] + rows->sequence * c;
    for (int64_t row = rows->first; row < rows->end; row++) {
        const mtf_real weight = weighted(shape) ? (mtf_real)(row - rows->begin + 1) : 1;
        mtf_real *dx = call->din[MTF_POOL_X] + row * c;
        for (int64_t j = 0; j < c; j++) {
            const mtf_real share = weight * dy[j] / n;
            dx[j] = call->din_add[MTF_POOL_X] ? dx[j] + share : share;
        }
    }
    mtf_flops_add(MTF_FLOPS_DX, per_element(shape) * (rows->end - rows->begin) * c);
}

static void mean_pool_backward(const mtf_op_call *call)
{
    mtf_pool_backward(call, backward_sequence);
}

/* Forward a row less to add than there are, and a division; backward a division an element; weights
 * are one more in both. */
static mtf_cost mean_pool_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    const mtf_slot *x = &shape->in[MTF_POOL_X];
    const double n = (double)(per_element(shape) * x->width) * (double)extent->n_rows[x->space];
    return (mtf_cost){.forward = n, .dx = need.dx != 0 ? n : 0, .dw = 0};
}

const mtf_op mtf_op_mean_pool = {.name = "mean_pool",
                                 .locality = MTF_LOCAL_SEQUENCE,
                                 .check = mean_pool_check,
                                 .forward = mean_pool_forward,
                                 .backward = mean_pool_backward,
                                 .saves = mtf_pool_saves,
                                 .cost = mean_pool_cost,
                                 .work = mtf_no_work};
