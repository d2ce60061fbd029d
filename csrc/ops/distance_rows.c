/* Rows of a table by distance from a sequence's first row, forward and backward.
 *
 *   y[i] = table[min(span + b(i), 2 span - 1)], or, looking back, table[max(span - b(i), 0)]
 *
 *   b(n) = n without a largest distance; with one, R, and m = span / 2 (DeBERTa-v2, He et al. 2021):
 *   b(n) = n for n <= m, else ceil(ln(n / m) / ln((R - 1) / m) (m - 1)) + m, in fp32
 *
 * A row depends on its place in the sequence alone; whoever needs the row of distance i - j finds it at
 * row |i - j| of the sequence, in what looks ahead or in what looks back.
 * Saved for backward: nothing. The gradient of a row of the table is a sum over sequences and places in
 * order; columns are cut between workers. Bits do not depend on spans or threads.
 * Tolerance family: exact. SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <math.h>
#include <string.h>

#include "../base/flops.h"
#include "../base/status.h"
#include "../base/threads.h"
#include "checks.h"
#include "span.h"

enum { IDS };
enum { TABLE };
/* Columns of an item of backward. */
enum { COLUMNS = 64 };

static mtf_status distance_rows_check(mtf_node_shape *shape, mtf_error *err)
{
    const int64_t span = shape->attrs.distance_span;
    const int64_t most = shape->attrs.max_distance;
    MTF_TRY(mtf_check_ids(shape, "distance rows", IDS, "ids", err));
    if (span < 1 || (most != 0 && (span < 4 || most - 1 <= span / 2))) {
        return mtf_fail(
            err, MTF_ERR_VALUE,
            "%s: distance rows expect a span of at least 1, or of at least 4 and less "
            "than twice the largest distance where that is limited, found %lld and %lld; "
            "correct the configuration",
            shape->label, (long long)span, (long long)most);
    }
    MTF_TRY(mtf_check_weight(shape, "distance rows", TABLE, "table", 2 * span, 0, err));
    mtf_set_output(shape, shape->in[IDS].space, shape->weight_cols[TABLE]);
    return MTF_OK;
}

static int64_t table_row(const mtf_attrs *attrs, int64_t place)
{
    const int64_t span = attrs->distance_span, middle = span / 2;
    int64_t n = place;
    if (attrs->max_distance > 0 && place > middle) {
        const float share = logf((float)place / (float)middle) /
                            (float)log((double)(attrs->max_distance - 1) / (double)middle);
        n = (int64_t)ceilf(share * (float)(middle - 1)) + middle;
    }
    if (attrs->looks_back) {
        return n < span ? span - n : 0;
    }
    return n < span ? span + n : 2 * span - 1;
}

static void distance_rows_forward(const mtf_op_call *call)
{
    const mtf_span *span = call->span;
    const int32_t space = call->shape->out[0].space;
    const int64_t c = call->shape->out[0].width;
    for (int64_t s = 0; s < span->n_sequences; s++) {
        const int64_t first = mtf_span_start(span, space, s);
        const int64_t n = mtf_span_start(span, space, s + 1) - first;
        for (int64_t i = 0; i < n; i++) {
            memcpy(call->out[0] + (first + i) * c,
                   call->w[TABLE]->master + table_row(&call->shape->attrs, i) * c,
                   (size_t)c * sizeof(mtf_real));
        }
    }
}

static void backward_item(void *context, int64_t item, int worker)
{
    const mtf_op_call *call = *(const mtf_op_call *const *)context;
    const mtf_span *span = call->span;
    const int32_t space = call->shape->out[0].space;
    const int64_t c = call->shape->out[0].width;
    const int64_t at = item * COLUMNS;
    const int64_t n_columns = mtf_piece_end(c, COLUMNS, item) - at;
    mtf_real *dw = call->dw[TABLE] + at;
    (void)worker;
    for (int64_t r = 0; !call->dw_add[TABLE] && r < call->shape->weight_rows[TABLE]; r++) {
        memset(dw + r * c, 0, (size_t)n_columns * sizeof *dw);
    }
    for (int64_t s = 0; s < span->n_sequences; s++) {
        const int64_t first = mtf_span_start(span, space, s);
        const int64_t n = mtf_span_start(span, space, s + 1) - first;
        for (int64_t i = 0; i < n; i++) {
            mtf_kernel->add_to(dw + table_row(&call->shape->attrs, i) * c,
                               call->dout[0] + (first + i) * c + at, n_columns);
            mtf_flops_add(MTF_FLOPS_DW, n_columns);
        }
    }
}

static void distance_rows_backward(const mtf_op_call *call)
{
    if (call->dw[TABLE] != NULL) {
        mtf_parallel_for(mtf_pieces(call->shape->out[0].width, COLUMNS), backward_item, &call);
    }
}

static mtf_cost distance_rows_cost(const mtf_node_shape *shape, const mtf_extent *extent,
                                   mtf_need need)
{
    const double elements =
        (double)extent->n_rows[shape->out[0].space] * (double)shape->out[0].width;
    return (mtf_cost){.dw = need.dw != 0 ? elements : 0};
}

const mtf_op mtf_op_distance_rows = {.name = "distance rows",
                                     .locality = MTF_LOCAL_SEQUENCE,
                                     .check = distance_rows_check,
                                     .forward = distance_rows_forward,
                                     .backward = distance_rows_backward,
                                     .saves = mtf_saves_nothing,
                                     .cost = distance_rows_cost,
                                     .work = mtf_no_work};
