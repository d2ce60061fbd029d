/* pool.h: what poolings share: x (R,C) of any space, out one row a sequence (B,C).
 *
 * Saved for backward: nothing, offsets are enough. Cut: by sequences, backward on all workers.
 * Callers guarantee at least one row in each sequence.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_OPS_POOL_H
#define MTF_OPS_POOL_H

#include "ops.h"

/* Pools one sequence, or takes its gradient back: its rows in the span are first .. last-1. */
typedef void (*mtf_pool_sequence)(const mtf_op_call *call, int64_t sequence, int64_t first,
                                  int64_t last);

MTF_NODISCARD mtf_status mtf_pool_check(mtf_node_shape *shape, const char *op, mtf_error *err);
void mtf_pool_forward(const mtf_op_call *call, mtf_pool_sequence pool);
/* Only where din[0] is wanted. */
void mtf_pool_backward(const mtf_op_call *call, mtf_pool_sequence pool);

#endif
