/* state.h: training memory of a model; each call makes what is missing and keeps what is there.
 *
 * csrc/train holds the training step: gradients of losses, their norm, the update, and the memory
 * they need. It is called through mtfreeze.h only; it calls object/ and below.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_TRAIN_STATE_H
#define MTF_TRAIN_STATE_H

#include "../object/object.h"

/* mtf_work_close() for a training call, whose step is dropped if it was stopped. (step.c) */
MTF_NODISCARD mtf_status mtf_train_close(mtf_work *work, mtf_model *model, mtf_status status,
                                         mtf_error *err);
/* A budget is at least 1. (forward.c, as what follows) */
MTF_NODISCARD mtf_status mtf_step_check_budget(int64_t token_budget, mtf_error *err);
/* Forward of a checked view of the step under way towards model->wanted[0 .. n - 1]. */
MTF_NODISCARD mtf_status mtf_step_forward(mtf_model *model, const mtf_view *view, size_t n,
                                          mtf_error *err);
/* Sequences from `first` of the whole step that run together towards model->wanted[0 .. n_wanted - 1]. */
MTF_NODISCARD mtf_status mtf_step_cut(mtf_model *model, const mtf_view *view, int64_t first,
                                      size_t n_wanted, int64_t token_budget, int64_t *n,
                                      mtf_error *err);
/* Values of a tensor in a view. */
size_t mtf_step_values(const mtf_program *program, const mtf_view *view, mtf_tensor_id t);
/* First row of a micro-batch in the whole step, in the row space of a tensor. */
int64_t mtf_step_first_row(const mtf_view *view, const mtf_view *part, const mtf_tensor *tensor);
/* Gradient arrays of every parameter that a backward step of the plan reaches, and those of the
 * statistics that its forward finds. */
MTF_NODISCARD mtf_status mtf_state_gradients(mtf_model *model, const mtf_plan *plan,
                                             mtf_error *err);
/* Moments, zero, of everything reached in the step under way. */
MTF_NODISCARD mtf_status mtf_state_moments(mtf_model *model, mtf_error *err);
/* Whether the statistics that the step found can be moved; MTF_ERR_NONFINITE names some. (statistics.c) */
MTF_NODISCARD mtf_status mtf_statistics_check(const mtf_model *model, mtf_error *err);
/* Moves stored statistics by those that the step found, if it has had a backward. */
void mtf_statistics_move(mtf_model *model);
/* The cut of everything that trains into chunks. */
MTF_NODISCARD mtf_status mtf_state_chunks(mtf_model *model, mtf_error *err);
/* Whether the update that stands in model->updates leaves all weights and moments finite; no clipped
 * gradient value is above `most_gradient`. MTF_ERR_NONFINITE names a tensor; nothing was written.
 * (finite.c) */
MTF_NODISCARD mtf_status mtf_update_check_finite(mtf_model *model, double most_gradient,
                                                 mtf_error *err);

#endif
