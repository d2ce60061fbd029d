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
/* Gradient arrays of every parameter that a backward step of the plan reaches. */
MTF_NODISCARD mtf_status mtf_state_gradients(mtf_model *model, const mtf_plan *plan,
                                             mtf_error *err);
/* Moments, zero, of everything reached in the step under way. */
MTF_NODISCARD mtf_status mtf_state_moments(mtf_model *model, mtf_error *err);
/* The cut of everything that trains into chunks. */
MTF_NODISCARD mtf_status mtf_state_chunks(mtf_model *model, mtf_error *err);
/* Whether the update that stands in model->updates leaves all weights and moments finite; no clipped
 * gradient value is above `most_gradient`. MTF_ERR_NONFINITE names a tensor; nothing was written.
 * (finite.c) */
MTF_NODISCARD mtf_status mtf_update_check_finite(mtf_model *model, double most_gradient,
                                                 mtf_error *err);

#endif
