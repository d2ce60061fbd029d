/* Dropout, forward and backward.
 *
 *   y = x * keep / (1 - rate)     dx = dy * keep / (1 - rate)
 *
 * keep is drawn from (seed, step, operation, sequence, position, lane): the row key is
 * mix(mix(mix(dropout_key, shape key), sequence in step), position in sequence), the lane is the
 * column. So the mask is the same in every packing, freeze mode and thread count, and nothing is
 * saved: backward draws it again. With dropout off or rate 0 a copy.
 * Tolerance family: elementwise. Reference: Srivastava et al. 2014.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <string.h>

#include "../base/flops.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

enum { ROWS = 64 };

static mtf_status dropout_check(mtf_node_shape *shape, mtf_error *err)
{
    mtf_status status = mtf_check_input(shape, "dropout", 0, "x", 0, err);
    if (status == MTF_OK) {
        status = mtf_check_rate(shape, "dropout", err);
    }
    if (status == MTF_OK) {
        mtf_set_output(shape, shape->in[0].space, shape->in[0].width);
    }
    return status;
}

/* to (R,C) = or += masked from (R,C), rows first .. last-1 of the span. */
static void mask_rows(const mtf_op_call *call, mtf_real *to, const mtf_real *from, int64_t first,
                      int64_t last, int add)
{
    int32_t space = call->shape->in[0].space;
    int64_t c = call->shape->in[0].width;
    if (!mtf_drop_active(call)) {
        int64_t n = (last - first) * c;
        if (add) {
            mtf_kernel->add_to(to + first * c, from + first * c, n);
        } else {
            memcpy(to + first * c, from + first * c, (size_t)n * sizeof *to);
        }
        return;
    }
    mtf_real rate = call->shape->attrs.rate;
    uint32_t threshold = mtf_drop_threshold(rate);
    mtf_real scale = mtf_drop_scale(rate);
    int64_t row = first;
    for (int64_t s = mtf_span_find(call->span, space, first); row < last; s++) {
        int64_t start = mtf_span_start(call->span, space, s);
        int64_t end = mtf_span_start(call->span, space, s + 1);
        uint64_t key = mtf_drop_key(call, s);
        for (; row < end && row < last; row++) {
            mtf_kernel->dropout_row(to + row * c, from + row * c, c,
                                    mtf_random_mix(key, (uint64_t)(row - start)), threshold, scale,
                                    add);
        }
    }
}

static void dropout_forward(const mtf_op_call *call)
{
    int64_t rows = call->span->n_rows[call->shape->in[0].space];
    mask_rows(call, call->out[0], call->in[0], 0, rows, 0);
    mtf_flops_add(MTF_FLOPS_FORWARD, rows * call->shape->in[0].width);
}

static void backward_item(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    (void)worker;
    int64_t last = mtf_piece_end(call->span->n_rows[call->shape->in[0].space], ROWS, item);
    mask_rows(call, call->din[0], call->dout[0], item * ROWS, last, call->din_add[0]);
    mtf_flops_add(MTF_FLOPS_DX, (last - item * ROWS) * call->shape->in[0].width);
}

static void dropout_backward(const mtf_op_call *call)
{
    if (call->din[0] == NULL) {
        return;
    }
    int64_t rows = call->span->n_rows[call->shape->in[0].space];
    mtf_parallel_for(mtf_pieces(rows, ROWS), backward_item, &call);
}

static mtf_cost dropout_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    double elements = (double)extent->n_rows[shape->in[0].space] * (double)shape->in[0].width;
    return (mtf_cost){.forward = elements, .dx = need.dx != 0 ? elements : 0, .dw = 0};
}

const mtf_op mtf_op_dropout = {.name = "dropout",
                               .locality = MTF_LOCAL_ROW,
                               .check = dropout_check,
                               .forward = dropout_forward,
                               .backward = dropout_backward,
                               .saves = mtf_saves_nothing,
                               .cost = dropout_cost,
                               .work = mtf_no_work};
