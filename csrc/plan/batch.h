/* batch.h: a checked batch, and views of runs of its sequences.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_PLAN_BATCH_H
#define MTF_PLAN_BATCH_H

#include "plan.h"

/* Sequences of a checked batch. Row numbers in offsets count from the whole batch's start: row r
 * of space s is row r - offsets[s][0] of the view. */
typedef struct mtf_view {
    int64_t n_sequences;
    int64_t first_sequence;                 /* its number in the step */
    const int64_t *offsets[MTF_MAX_SPACES]; /* (n_sequences + 1) */
    const int64_t *widths[MTF_MAX_SPACES];  /* (n_sequences) of grids; NULL: unknown */
    const void *inputs[MTF_MAX_INPUTS]; /* by input tensor, at the view's row 0; NULL: left out */
    int32_t n_features;
    mtf_tensor_id feature_tensor[MTF_MAX_FEATURES]; /* outputs whose values are given */
    const mtf_real *features[MTF_MAX_FEATURES];     /* (rows, width), at the view's row 0 */
} mtf_view;

/* Checks everything that can be wrong in a batch whatever is run of it: names, offsets, lengths, id
 * ranges (mtf_view_bind: whether all that is read is there). Float values are not looked at. `identity`
 * (n_sequences + 1) holds 0, 1, 2, ...: the offsets of space "sequences"; `none` (n_sequences + 1)
 * zeros: those of a space of heads that the batch has no offsets for. */
MTF_NODISCARD mtf_status mtf_batch_check(const mtf_program *program, const mtf_batch *batch,
                                         const int64_t *identity, const int64_t *none,
                                         mtf_view *view, mtf_error *err);
/* Places the widths that the batch has, and checks them and the rows of spaces that follow from others.
 * The offsets stand in the view. (grids.c) */
MTF_NODISCARD mtf_status mtf_view_check_grids(const mtf_program *program, const mtf_batch *batch,
                                              mtf_view *view, mtf_error *err);
/* Whether the view has the widths that the plan's operations read. (grids.c) */
MTF_NODISCARD mtf_status mtf_view_bind_grids(const mtf_plan *plan, const mtf_view *view,
                                             mtf_error *err);
/* Whether the view, whose features are those that the plan was made for, has what it reads. */
MTF_NODISCARD mtf_status mtf_view_bind(const mtf_plan *plan, const mtf_view *view, mtf_error *err);
/* Sequences first .. first + n - 1 of a view. */
mtf_view mtf_view_part(const mtf_program *program, const mtf_view *view, int64_t first, int64_t n);
/* Sequences from `first` that make a micro-batch: at most `budget` rows of any space, where one of a
 * space of heads counts as its row_cost; at least one sequence, and those that are joined to it. */
int64_t mtf_view_cut(const mtf_program *program, const mtf_view *view, int64_t first,
                     int64_t budget);
/* The same of a step under this plan: all that are left where an operation couples them, or with a
 * budget of 0. */
int64_t mtf_plan_cut(const mtf_plan *plan, const mtf_view *view, int64_t first, int64_t budget);
/* Whether a row space joins sequence `sequence` (1 .. n_sequences - 1) to the one before it. */
int mtf_view_joined(const mtf_program *program, const mtf_view *view, int64_t sequence);
int64_t mtf_view_rows(const mtf_view *view, int32_t space);
int64_t mtf_view_max_length(const mtf_view *view, int32_t space);

#endif
