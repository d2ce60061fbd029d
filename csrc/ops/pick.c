/* Chosen rows of each sequence, forward and backward: what a head reads that needs some tokens only.
 *
 *   y[p] = x[begin of p's sequence + position[p]]     dx[r] = sum of dy[p] over the p that chose r
 *
 * A sequence may have none chosen, and may choose one twice; then the gradients add up in the order of
 * p. Saved for backward: the positions, which the batch holds. Callers guarantee positions within their
 * sequence. Cut: by sequences, backward on all workers. Tolerance family: elementwise (copies; sums of
 * what was chosen twice). SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <string.h>

#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

enum { X, POSITIONS };

static mtf_status pick_check(mtf_node_shape *shape, mtf_error *err)
{
    MTF_TRY(mtf_check_input(shape, "pick", X, "x", 0, err));
    MTF_TRY(mtf_check_ids(shape, "pick", POSITIONS, "positions", err));
    if (shape->in[X].space == MTF_SPACE_SEQUENCES ||
        shape->in[POSITIONS].space == MTF_SPACE_SEQUENCES) {
        return mtf_fail(
            err, MTF_ERR_SHAPE,
            "%s: pick expects rows and positions of row spaces with offsets, found "
            "\"sequences\", which has one row a sequence; nothing is to be picked there",
            shape->label);
    }
    mtf_set_output(shape, shape->in[POSITIONS].space, shape->in[X].width);
    return MTF_OK;
}

/* Rows of x and rows picked of one sequence, as rows of the span. */
typedef struct pick_rows {
    int64_t begin, end, first, last;
} pick_rows;

static pick_rows rows_of(const mtf_op_call *call, int64_t sequence)
{
    const int32_t from = call->shape->in[X].space, to = call->shape->in[POSITIONS].space;
    return (pick_rows){.begin = mtf_span_start(call->span, from, sequence),
                       .end = mtf_span_start(call->span, from, sequence + 1),
                       .first = mtf_span_start(call->span, to, sequence),
                       .last = mtf_span_start(call->span, to, sequence + 1)};
}

static void pick_forward(const mtf_op_call *call)
{
    const int64_t c = call->shape->in[X].width;
    for (int64_t s = 0; s < call->span->n_sequences; s++) {
        const pick_rows rows = rows_of(call, s);
        for (int64_t p = rows.first; p < rows.last; p++) {
            memcpy(call->out[0] + p * c, call->in[X] + (rows.begin + call->ids[POSITIONS][p]) * c,
                   (size_t)c * sizeof(mtf_real));
        }
    }
}

static void backward_item(void *context, int64_t sequence, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const int64_t c = call->shape->in[X].width;
    const pick_rows rows = rows_of(call, sequence);
    (void)worker;
    if (!call->din_add[X]) {
        memset(call->din[X] + rows.begin * c, 0,
               (size_t)((rows.end - rows.begin) * c) * sizeof(mtf_real));
    }
    for (int64_t p = rows.first; p < rows.last; p++) {
        mtf_kernel->add_to(call->din[X] + (rows.begin + call->ids[POSITIONS][p]) * c,
                           call->dout[0] + p * c, c);
    }
}

static void pick_backward(const mtf_op_call *call)
{
    if (call->din[X] != NULL) {
        mtf_parallel_for(call->span->n_sequences, backward_item, &call);
    }
}

static mtf_save pick_saves(const mtf_node_shape *shape, mtf_need need)
{
    (void)shape;
    return (mtf_save){.in = need.dx != 0 ? 1U << POSITIONS : 0U};
}

/* Copies, and sums that hand on what arrives. */
static mtf_cost pick_cost(const mtf_node_shape *shape, const mtf_extent *extent, mtf_need need)
{
    (void)shape;
    (void)extent;
    (void)need;
    return (mtf_cost){0};
}

const mtf_op mtf_op_pick = {.name = "pick",
                            .locality = MTF_LOCAL_SEQUENCE,
                            .check = pick_check,
                            .forward = pick_forward,
                            .backward = pick_backward,
                            .saves = pick_saves,
                            .cost = pick_cost,
                            .work = mtf_no_work};
