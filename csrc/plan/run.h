/* run.h: executing plans: memory that grows to what is needed, forward over blocks, backward by
 * operation.
 *
 * Forward goes depth-first: the sequences are cut into blocks, and each worker takes a block
 * through all steps in its own scratch. Rows do not depend on the cut (ops.h), so the number of
 * blocks is free. A batch too small for a block a worker goes *wide*: one step at a time, in which
 * all workers share. So does backward, over the whole micro-batch.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_PLAN_RUN_H
#define MTF_PLAN_RUN_H

#include "batch.h"
#include "plan.h"

/* What a view needs under a plan, with the threads that are set: blocks, and arenas in elements. */
typedef struct mtf_sizes {
    int64_t n_blocks;
    int64_t rows[MTF_MAX_SPACES], max_length[MTF_MAX_SPACES];
    int64_t block_rows[MTF_MAX_SPACES]; /* of the largest block */
    int64_t n_at_once; /* sequences of a block that early steps take at once; 0: all */
    int64_t early_rows[MTF_MAX_SPACES]; /* of the most of them */
    size_t saved, gradients, shared;
    size_t halves;             /* 16-bit elements */
    size_t widened;            /* of what one backward step reads of them */
    int wide;                  /* 1: one block, in which several workers take part in every step */
    size_t worker, work_start; /* scratch of one worker, and where in it `work` begins */
    size_t workers;            /* of all */
} mtf_sizes;

typedef struct mtf_workspace {
    mtf_real *saved, *gradients, *workers, *shared, *widened;
    uint16_t *halves;
    size_t saved_size, gradients_size, workers_size, shared_size, widened_size,
        halves_size; /* elements that are there */
    size_t *saved_starts, *halves_starts, *temporary_starts, *gradient_starts;
    size_t starts_size;
    int64_t *identity; /* 0, 1, 2, ... */
    int64_t *none;     /* zeros, as many; in the same memory */
    int64_t identity_size;
    int64_t *blocks; /* first sequences of the blocks, then the end */
    int64_t blocks_size;
    mtf_sizes now; /* of the view that it was prepared for */
} mtf_workspace;

void mtf_workspace_clear(mtf_workspace *workspace);
/* Makes identity[0..n] and none[0..n] available. */
MTF_NODISCARD mtf_status mtf_workspace_identity(mtf_workspace *workspace, int64_t n,
                                                mtf_error *err);
/* `blocks` (n_sequences + 1) or NULL receives first sequences of the blocks, then the end. */
void mtf_plan_measure(const mtf_plan *plan, const mtf_view *view, int64_t *blocks,
                      mtf_sizes *sizes);
/* Blocks, and how many sequences early steps take at once; as mtf_plan_measure(). (blocks.c) */
void mtf_blocks_cut(const mtf_plan *plan, const mtf_view *view, int64_t *blocks, mtf_sizes *sizes);
/* Where those end that early steps take at once, n of them from `first` on (0: all), in a block that ends
 * at `last`. */
int64_t mtf_early_end(const mtf_plan *plan, const mtf_view *view, int64_t first, int64_t last,
                      int64_t n);
/* Makes and fills the packed forms of weights that the plan reads and that are not there or are older
 * than their master. (forms.c) */
MTF_NODISCARD mtf_status mtf_forms_prepare(const mtf_plan *plan, mtf_network *network,
                                           mtf_error *err);
/* FLOPs of the view and the bytes that running it reserves, cut into micro-batches by `token_budget`
 * (0: not cut); `units` (n_units) or NULL. (price.c) */
void mtf_plan_price(const mtf_plan *plan, const mtf_network *network, const mtf_view *view,
                    int64_t token_budget, mtf_plan_info *info, mtf_plan_unit *units);
/* Cuts the view into blocks and makes all arenas large enough for forward and backward. */
MTF_NODISCARD mtf_status mtf_workspace_prepare(mtf_workspace *workspace, const mtf_plan *plan,
                                               const mtf_view *view, mtf_error *err);

/* Scratch of the workers that are set now, who may be more than when the workspace was prepared. */
MTF_NODISCARD mtf_status mtf_workspace_workers(mtf_workspace *workspace, mtf_error *err);

/* `caller` (plan->n_outputs; inference): where outputs go, each (rows, width). */
void mtf_run_forward(const mtf_plan *plan, const mtf_network *network, mtf_workspace *workspace,
                     const mtf_view *view, uint64_t dropout_key, mtf_real *const *caller);
/* After a training forward of the same plan and view. The gradients at the outputs stand in
 * mtf_run_output_gradient(). Every parameter that the plan reaches has its gradient array; those that get a
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
