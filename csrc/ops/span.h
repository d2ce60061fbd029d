/* span.h: where the rows of a sequence lie in a span, and how dropout names them.
 *
 * A space whose offsets are NULL has one row a sequence ("sequences"). Everything here is a pure
 * function of its arguments, so it gives the same in any span and on any worker.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_OPS_SPAN_H
#define MTF_OPS_SPAN_H

#include "ops.h"
#include "../base/random.h"

/* First row of sequence `sequence` (0 .. n_sequences), counted from the span's first row. */
static inline int64_t mtf_span_start(const mtf_span *span, int32_t space, int64_t sequence)
{
    const int64_t *offsets = span->offsets[space];
    return offsets != NULL ? offsets[sequence] - offsets[0] : sequence;
}

/* The sequence (0 .. n_sequences-1) that holds row `row` of the span. */
static inline int64_t mtf_span_find(const mtf_span *span, int32_t space, int64_t row)
{
    int64_t low = 0;
    int64_t high = span->n_sequences;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (mtf_span_start(span, space, middle) <= row) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Columns and rows of the grid of sequence `sequence`, in a space whose widths are known. */
static inline int64_t mtf_span_width(const mtf_span *span, int32_t space, int64_t sequence)
{
    return span->widths[space][sequence];
}

static inline int64_t mtf_span_height(const mtf_span *span, int32_t space, int64_t sequence)
{
    const int64_t *offsets = span->offsets[space];
    return (offsets[sequence + 1] - offsets[sequence]) / span->widths[space][sequence];
}

/* Number of pieces of at most `piece` in n, and where one ends: work is cut by shape only. */
static inline int64_t mtf_pieces(int64_t n, int64_t piece)
{
    return (n + piece - 1) / piece;
}

static inline int64_t mtf_piece_end(int64_t n, int64_t piece, int64_t index)
{
    return (index + 1) * piece < n ? (index + 1) * piece : n;
}

/* Key of sequence `sequence` of the span in this operation's draws of this step. */
static inline uint64_t mtf_drop_key(const mtf_op_call *call, int64_t sequence)
{
    uint64_t key = mtf_random_mix(call->dropout_key, call->shape->key);
    return mtf_random_mix(key, (uint64_t)(call->span->first_sequence + sequence));
}

static inline int mtf_drop_active(const mtf_op_call *call)
{
    return call->dropout_on && call->shape->attrs.rate > 0;
}

/* A 32-bit draw below this drops: rate (0 <= rate < 1) * 2^32. */
static inline uint32_t mtf_drop_threshold(mtf_real rate)
{
    return (uint32_t)((double)rate * 4294967296.0);
}

static inline mtf_real mtf_drop_scale(mtf_real rate)
{
    return 1 / (1 - rate);
}

#endif
