/* pool.h: what poolings share: x (R,C) of any space, out one row a sequence (B,C).
 *
 * An optional second input of ids in the space "sequences", "skip", says how many rows at the
 * beginning of each sequence are left out (the tokens of a prompt); at least the last row stays,
 * whatever it says. Left out, or absent: none. Attribute skip_rows is a number of such rows that a family
 * always leaves out. Saved for backward: that input, and what an operation
 * adds. Cut: by sequences, backward on all workers. FLOPs are counted as if no row were left out.
 * Callers guarantee at least one row in each sequence.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_OPS_POOL_H
#define MTF_OPS_POOL_H

#include "ops.h"

enum { MTF_POOL_X, MTF_POOL_SKIP };

/* Rows of one sequence in the span: begin .. end-1, of which first .. end-1 are pooled. */
typedef struct mtf_pool_rows {
    int64_t sequence, begin, first, end;
} mtf_pool_rows;

/* Pools one sequence, or takes its gradient back; backward then writes rows first .. end-1 only. */
typedef void (*mtf_pool_sequence)(const mtf_op_call *call, const mtf_pool_rows *rows);

/* `first`, `last`: the kinds that the operation makes. */
MTF_NODISCARD mtf_status mtf_pool_check(mtf_node_shape *shape, const char *op, mtf_pooling first,
                                        mtf_pooling last, mtf_error *err);
void mtf_pool_forward(const mtf_op_call *call, mtf_pool_sequence pool);
/* Only where din[0] is wanted. */
void mtf_pool_backward(const mtf_op_call *call, mtf_pool_sequence pool);
/* For mtf_op.saves: which rows were left out. */
mtf_save mtf_pool_saves(const mtf_node_shape *shape, mtf_need need);

#endif
