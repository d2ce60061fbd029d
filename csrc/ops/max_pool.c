/* The largest value of each column over the rows of each sequence, forward and backward.
 *
 *   y[s][j] = max of x[r][j] over the rows r of s;  a NaN is larger than any number
 *   dx[r][j] = dy[s][j] for the first row r that has the maximum, 0 for all others
 *
 * aux[0] (B,C): that row, counted from the sequence's first; whole numbers below 2^24, which
 * mtf_real holds. Saved for backward: it instead of x, which is longer. Which rows there are and the
 * cut: pool.h. Tolerance family: elementwise (a copy). SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <math.h>
#include <string.h>

#include "../base/status.h"
#include "checks.h"

static mtf_status max_pool_check(mtf_node_shape *shape, mtf_error *err)
{
    MTF_TRY(mtf_pool_check(shape, "max_pool", MTF_POOL_MAX, MTF_POOL_MAX, err));
    shape->aux[0] = (mtf_slot){MTF_SPACE_SEQUENCES, shape->in[MTF_POOL_X].width, 0};
    return MTF_OK;
}

static void forward_sequence(const mtf_op_call *call, const mtf_pool_rows *rows)
{
    const int64_t c = call->shape->in[MTF_POOL_X].width;
    mtf_real *y = call->out[0] + rows->sequence * c;
    mtf_real *at = call->aux[0] != NULL ? call->aux[0] + rows->sequence * c : NULL;
    memcpy(y, call->in[MTF_POOL_X] + rows->first * c, (size_t)c * sizeof *y);
    for (int64_t j = 0; at != NULL && j < c; j++) {
        at[j] = (mtf_real)(rows->first - rows->begin);
    }
    for (int64_t row = rows->first + 1; row < rows->end; row++) {
        const mtf_real *x = call->in[MTF_POOL_X] + row * c;
        for (int64_t j = 0; j < c; j++) {
            if (x[j] > y[j] || (isnan(x[j]) && !isnan(y[j]))) {
                y[j] = x[j];
                if (at != NULL) {
                    at[j] = (mtf_real)(row - rows->begin);
                }
            }
        }
    }
}

static void max_pool_forward(const mtf_op_call *call)
{
    mtf_pool_forward(call, forward_sequence);
}

static void backward_sequence(const mtf_op_call *call, const mtf_pool_rows *rows)
{
    const int64_t c = call->shape->in[MTF_POOL_X].width;
    const mtf_real *dy = call->dout[0] + rows->sequence * c;
    const mtf_real *at = call->aux[0] + rows->sequence * c;
    mtf_real *dx = call->din[MTF_POOL_X];
    if (!call->din_add[MTF_POOL_X]) {
        memset(dx + rows->first * c, 0, (size_t)((rows->end - rows->first) * c) * sizeof *dx);
    }
    for (int64_t j = 0; j < c; j++) {
        dx[(rows->begin + (int64_t)at[j]) * c + j] += dy[j];
    }
}

static void max_pool_backward(const mtf_op_call *call)
{
    mtf_pool_backward(call, backward_sequence);
}

static mtf_save max_pool_saves(const mtf_node_shape *shape, mtf_need need)
{
    mtf_save save = mtf_pool_saves(shape, need);
    save.aux = need.dx != 0 ? 1U : 0U;
    return save;
}

/* Comparisons and copies: no arithmetic. */
static mtf_cost max_pool_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    (void)shape;
    (void)extent;
    (void)need;
    return (mtf_cost){0};
}

const mtf_op mtf_op_max_pool = {.name = "max_pool",
                                .locality = MTF_LOCAL_SEQUENCE,
                                .check = max_pool_check,
                                .forward = max_pool_forward,
                                .backward = max_pool_backward,
                                .saves = max_pool_saves,
                                .cost = max_pool_cost,
                                .work = mtf_no_work};
