/* The rows of a table for every sequence, forward and backward: what a decoder's queries begin as.
 *
 *   y[s, q] = table[q]      dtable[q] = sum of dy[s, q] over the sequences, in order
 *
 * Without a table the rows are zero. There is no input. Callers guarantee that every sequence has as
 * many rows as the table, or any number where there is none. Saved for backward: nothing.
 * Cut: forward by sequences, backward by columns, so bits do not depend on threads.
 * Tolerance family: exact forward, reduction backward. SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <string.h>

#include "../base/flops.h"
#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

enum { TABLE };
/* Columns of an item of backward. */
enum { COLUMNS = 64 };

static mtf_status repeat_rows_check(mtf_node_shape *shape, mtf_error *err)
{
    const mtf_attrs *a = &shape->attrs;
    if (mtf_has_weight(shape, TABLE)) {
        MTF_TRY(mtf_check_weight(shape, "repeat_rows", TABLE, "table", 0, a->row_width, err));
    }
    if (a->row_width < 1 || a->row_space <= MTF_SPACE_SEQUENCES || a->row_space >= MTF_MAX_SPACES) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "%s: repeat_rows expects a width of at least 1 and a row space with as "
                        "many rows for every sequence; declare one first",
                        shape->label);
    }
    mtf_set_output(shape, a->row_space, a->row_width);
    return MTF_OK;
}

static void repeat_rows_forward(const mtf_op_call *call)
{
    const mtf_span *span = call->span;
    const int32_t space = call->shape->out[0].space;
    const int64_t c = call->shape->out[0].width;
    for (int64_t s = 0; s < span->n_sequences; s++) {
        const int64_t first = mtf_span_start(span, space, s);
        const size_t bytes =
            (size_t)((mtf_span_start(span, space, s + 1) - first) * c) * sizeof(mtf_real);
        if (call->w[TABLE] != NULL) {
            memcpy(call->out[0] + first * c, call->w[TABLE]->master, bytes);
        } else {
            memset(call->out[0] + first * c, 0, bytes);
        }
    }
}

static void backward_item(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const mtf_span *span = call->span;
    const int32_t space = call->shape->out[0].space;
    const int64_t c = call->shape->out[0].width;
    const int64_t rows = call->shape->weight_rows[TABLE];
    const int64_t at = item * COLUMNS;
    const int64_t n_columns = mtf_piece_end(c, COLUMNS, item) - at;
    mtf_real *dw = call->dw[TABLE] + at;
    (void)worker;
    for (int64_t r = 0; !call->dw_add[TABLE] && r < rows; r++) {
        memset(dw + r * c, 0, (size_t)n_columns * sizeof *dw);
    }
    for (int64_t s = 0; s < span->n_sequences; s++) {
        const mtf_real *dy = call->dout[0] + mtf_span_start(span, space, s) * c + at;
        for (int64_t r = 0; r < rows; r++) {
            mtf_kernel->add_to(dw + r * c, dy + r * c, n_columns);
        }
    }
    mtf_flops_add(MTF_FLOPS_DW, span->n_sequences * rows * n_columns);
}

static void repeat_rows_backward(const mtf_op_call *call)
{
    if (call->dw[TABLE] != NULL) {
        mtf_parallel_for(mtf_pieces(call->shape->out[0].width, COLUMNS), backward_item, &call);
    }
}

static mtf_cost repeat_rows_cost(const mtf_node_shape *shape, const mtf_extent *extent,
                                 mtf_need need)
{
    const double elements =
        (double)extent->n_rows[shape->out[0].space] * (double)shape->out[0].width;
    return (mtf_cost){.dw = need.dw != 0 ? elements : 0};
}

const mtf_op mtf_op_repeat_rows = {.name = "repeat_rows",
                                   .locality = MTF_LOCAL_SEQUENCE,
                                   .check = repeat_rows_check,
                                   .forward = repeat_rows_forward,
                                   .backward = repeat_rows_backward,
                                   .saves = mtf_saves_nothing,
                                   .cost = repeat_rows_cost,
                                   .work = mtf_no_work};
