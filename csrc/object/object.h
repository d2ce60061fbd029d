/* object.h: the public model object: a network, its plans, its memory and the step under way.
 *
 * csrc/object holds the model of mtfreeze.h and what can be asked of it without training. train/ works
 * on the same object; it calls plan/ and below.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_OBJECT_OBJECT_H
#define MTF_OBJECT_OBJECT_H

#include "../losses/losses.h"
#include "../plan/run.h"

/* Plans kept at a time: one for each set of active heads, for training and for inference. */
#define MTF_MAX_PLANS 16

/* A fixed part of a trainable parameter; norm and update go over these in parallel. */
typedef struct mtf_chunk {
    int32_t param;
    int64_t first, n;
} mtf_chunk;

typedef struct mtf_session {
    int open; /* between begin and apply */
    mtf_train_options options;
    uint64_t dropout_key;
    int n_parts; /* backward passes so far */
    /* Of the forward that waits for its backward; the plan is borrowed from the cache, NULL: none. */
    mtf_plan *plan;
    mtf_view view;
} mtf_session;

/* One loss of a whole step, while its micro-batches run. */
typedef struct mtf_step_loss {
    const mtf_loss_kind *kind;
    mtf_loss_counts counts; /* of the step; without a labelled row it takes no part */
    double sum;             /* over those seen so far */
} mtf_step_loss;

struct mtf_model {
    mtf_network *network;
    mtf_workspace workspace;
    mtf_plan *plans[MTF_MAX_PLANS];
    uint64_t plan_used[MTF_MAX_PLANS], clock;
    uint64_t freeze_version;
    uint64_t version;      /* raised by what a caller changes from outside */
    mtf_tensor_id *wanted; /* (n_outputs of the program) scratch for resolved names */
    mtf_real **caller;     /* likewise */
    mtf_session session;
    mtf_chunk *chunks;
    double *partial_sums; /* (n_chunks) of the norm; of a rehearsal, pieces that are not finite */
    mtf_adamw *updates;   /* (n_params) */
    int64_t n_chunks, n_chunk_values;
    int chunks_valid;
    mtf_step_loss *step_losses; /* of mtf_train_gradients(); grows and then stays */
    size_t max_step_losses;
    double *loss_work; /* (n_loss_work) of one loss at a time; grows and then stays */
    size_t n_loss_work;
};

/* mtf_model_new() for a family that is not looked up by name. */
MTF_NODISCARD mtf_status mtf_object_new(const struct mtf_family *family, const mtf_config *config,
                                        mtf_model **model, mtf_error *err);
/* The plan for running a request, which names no freeze state: from the cache or new. */
MTF_NODISCARD mtf_status mtf_object_plan(mtf_model *model, const mtf_request *request,
                                         mtf_plan **plan, mtf_error *err);
/* A freeze mask, or NULL, has the sizes of the model. */
MTF_NODISCARD mtf_status mtf_object_check_mask(const mtf_model *model, const mtf_freeze_mask *mask,
                                               mtf_error *err);
/* The n names of a request fit into model->wanted. */
MTF_NODISCARD mtf_status mtf_object_count(const mtf_model *model, size_t n, mtf_error *err);
/* Tensor of a named output. */
MTF_NODISCARD mtf_status mtf_object_output(const mtf_model *model, const char *name,
                                           mtf_tensor_id *tensor, mtf_error *err);
/* The loss called `kind`, or for NULL that of the head `output`; see mtf_model_get_loss(). */
MTF_NODISCARD mtf_status mtf_object_loss(const mtf_model *model, const char *output,
                                         const char *kind, const mtf_loss_kind **loss,
                                         mtf_error *err);
/* The tensors of n named outputs, into model->wanted. */
MTF_NODISCARD mtf_status mtf_object_outputs(mtf_model *model, size_t n, const char *const *names,
                                            mtf_error *err);
/* A precision as mtf_model_forward() takes it, or as training does. */
MTF_NODISCARD mtf_status mtf_object_check_precision(int precision, int training, mtf_error *err);
/* Forgets the forward that waits for its backward: its workspace goes to another batch, or a weight
 * changes that its backward would read. */
void mtf_object_stop_waiting(mtf_model *model);
/* Forgets the step under way. */
void mtf_object_close_session(mtf_model *model);
/* Checks a batch; the view's row numbers begin at 0. No forward may wait for its backward. */
MTF_NODISCARD mtf_status mtf_object_view(mtf_model *model, const mtf_batch *batch, mtf_view *view,
                                         mtf_error *err);

#endif
