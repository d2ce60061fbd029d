/* run.h: executing plans: memory that grows to what is needed, forward over blocks, backward by
 * operation.
 *
 * Forward goes depth-first: the sequences are cut into blocks, and each worker takes a block
 * through all steps in its own scratch. Rows do not depend on the cut (ops.h), so the number of
 * blocks is free. Backward takes one operation at a time over the whole micro-batch.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_PLAN_RUN_H
#define MTF_PLAN_RUN_H

#include "batch.h"
#include "plan.h"

typedef struct mtf_workspace {
    mtf_real *saved, *gradients, *workers;
    size_t saved_size, gradients_size, workers_size; /* elements that are there */
    size_t worker_stride;
    size_t *saved_starts, *temporary_starts, *gradient_starts;
    size_t starts_size;
    int64_t *identity; /* 0, 1, 2, ... */
    int64_t identity_size;
    int64_t *blocks; /* first sequences of the blocks, then the end */
    int64_t blocks_size, n_blocks;
} mtf_workspace;

void mtf_workspace_clear(mtf_workspace *workspace);
/* Makes identity[0..n] available. */
MTF_NODISCARD mtf_status mtf_workspace_identity(mtf_workspace *workspace, int64_t n,
                                                mtf_error *err);
/* Cuts the view into blocks and makes all arenas large enough for forward and backward. */
MTF_NODISCARD mtf_status mtf_workspace_prepare(mtf_workspace *workspace, const mtf_plan *plan,
                                               const mtf_view *view, mtf_error *err);

/* `caller` (plan->n_outputs; inference): where outputs go, each (rows, width). */
void mtf_run_forward(const mtf_plan *plan, const mtf_network *network, mtf_workspace *workspace,
                     const mtf_view *view, uint64_t dropout_key, mtf_real *const *caller);
/* After a training forward of the same plan and view. The gradients at the outputs stand in
 * mtf_run_output_gradient(). Every trainable parameter has its gradient array; those that get a
 * gradient add to it if they were reached before, and count as reached. */
void mtf_run_backward(const mtf_plan *plan, mtf_network *network, mtf_workspace *workspace,
                      const mtf_view *view, uint64_t dropout_key);
/* Value (rows, width) of an output after a training forward. */
const mtf_real *mtf_run_output_value(const mtf_plan *plan, const mtf_workspace *workspace,
                                     const mtf_view *view, size_t output);
/* Gradient buffer (rows, width) of an output; NULL: nothing below it trains. */
mtf_real *mtf_run_output_gradient(const mtf_plan *plan, const mtf_workspace *workspace,
                                  size_t output);

#endif
