/* mtfreeze.h: the one public header of the C core.
 *
 * Reading order: mtfreeze_runtime.h, then configuration, model, parameters, freezing, batches,
 * forward, training, plans. Nothing here knows Python. One thread per model unless a function says
 * otherwise; the runtime functions are called once, before the first model.
 *
 * Shape letters: B sequences, T tokens, C width, V vocabulary, N rows of a named row space.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTFREEZE_H
#define MTFREEZE_H

#include "mtfreeze_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MTF_VERSION_TEXT "0.1.0"

/* ---- configuration: keys and values from config.json and from heads --------------------------- */

typedef struct mtf_config mtf_config;
MTF_NODISCARD mtf_config *mtf_config_new(void); /* NULL: out of memory */
void mtf_config_free(mtf_config *config);
/* Keys and texts are copied. A second set of a key replaces the first. */
MTF_NODISCARD mtf_status mtf_config_set_int(mtf_config *config, const char *key, int64_t value);
MTF_NODISCARD mtf_status mtf_config_set_real(mtf_config *config, const char *key, double value);
MTF_NODISCARD mtf_status mtf_config_set_bool(mtf_config *config, const char *key, int value);
MTF_NODISCARD mtf_status mtf_config_set_text(mtf_config *config, const char *key,
                                             const char *value);
MTF_NODISCARD mtf_status mtf_config_set_ints(mtf_config *config, const char *key,
                                             const int64_t *values, size_t n);

/* ---- model ----------------------------------------------------------------------------------- */

typedef struct mtf_model mtf_model;

/* Builds a backbone of the family named by "model_type", all parameters zero and trainable.
 * Besides the family's own keys: "pooling" = "mean" (the default), "cls", "max",
 * "mean_sqrt_len_tokens", "weightedmean", "lasttoken", several of these joined by "+", or "pooler";
 * "include_prompt" false: the input "skip" says how many first rows of a sequence no pooling reads;
 * "n_dense" and "dense.<i>.width", ".inputs", ".activation", ".bias", ".residual": the unit "backbone.dense";
 * "normalize" (bool): "embedding" has length one. MTF_ERR_CONFIG says which key and why. */
MTF_NODISCARD mtf_status mtf_model_new(const mtf_config *config, mtf_model **model, mtf_error *err);
void mtf_model_free(mtf_model *model);
/* Adds a head of the kind named by "kind" ("sequence_classification", "token_classification":
 * "n_labels"; "regression": "n_outputs"): "hidden" (ints), "activation", "dropout", "features" ("pooled", "embedding",
 * "hidden"), "pooling". Weights are drawn from (seed, name). Parameter indexes of what was there
 * stay as they are; new ones follow. */
MTF_NODISCARD mtf_status mtf_model_add_head(mtf_model *model, const char *name,
                                            const mtf_config *config, uint64_t seed,
                                            mtf_error *err);
/* Parameters behind the removed ones move down; the memory of the removed ones goes, unless it is held
 * (mtf_model_hold_values). */
MTF_NODISCARD mtf_status mtf_model_remove_head(mtf_model *model, const char *name, mtf_error *err);

/* Adds the adapter of `config`, or with NULL removes the one that there is: "adapter" ("lora", "ia3"),
 * "adapter.dropout", "adapter.n", "adapter.<i>.site", ".rank", ".scale", ".input" (model/adapter.h).
 * Factors are drawn from (seed, site). Its parameters stand between the backbone's and the heads',
 * whose indexes move; all masters and training state stay. */
MTF_NODISCARD mtf_status mtf_model_set_adapter(mtf_model *model, const mtf_config *config,
                                               uint64_t seed, mtf_error *err);

typedef struct mtf_param_info {
    const char *key; /* "backbone." + the hub's tensor name, "<head>.weight" */
    int32_t unit;    /* index of its unit */
    int32_t n_dims;  /* 1..MTF_MAX_DIMS */
    int64_t shape[MTF_MAX_DIMS];
    int64_t size; /* elements */
    /* (shape), C order; the address holds until its head is removed or the model freed, and longer
     * where it is held. */
    const mtf_real *data;
    uint64_t version; /* raised by every change */
    int decays;       /* 1: weight decay applies unless the user says otherwise */
    int in_products;  /* 1: a factor of linear products; 0: a looked-up table, or a vector */
    int convolves;    /* 1: of a convolution: read over packed forms, whatever its size */
    int is_buffer;    /* 1: statistics, which have no gradient */
    int moves;        /* 1: statistics that training steps move: frozen by a mask, or with all else
                         in their unit; others are frozen whatever a mask says */
    int frozen;
    mtf_precision precision; /* of its products while it is frozen */
    int64_t n_steps;         /* optimizer steps of this tensor since its state began, counted up to
                                MTF_MAX_COUNT; 0: no state */
    int n_aliases;           /* other keys of the same (tied) tensor */
    const char *const *aliases;
} mtf_param_info;

/* The parameters that a model of this configuration would have, heads added in order, without memory
 * for them: of an info `key`, `unit`, sizes, `decays`, `in_products`, `convolves`, `is_buffer`, `moves` and aliases say
 * something. Errors
 * as in mtf_model_new and mtf_model_add_head; after a failed head the outline is only freed. */
typedef struct mtf_outline mtf_outline;
MTF_NODISCARD mtf_status mtf_outline_new(const mtf_config *config, mtf_outline **outline,
                                         mtf_error *err);
MTF_NODISCARD mtf_status mtf_outline_add_head(mtf_outline *outline, const char *name,
                                              const mtf_config *config, mtf_error *err);
size_t mtf_outline_n_params(const mtf_outline *outline);
/* Texts in it live as long as the outline. */
void mtf_outline_get_param(const mtf_outline *outline, size_t index, mtf_param_info *info);
void mtf_outline_free(mtf_outline *outline);

typedef struct mtf_unit_info {
    const char *path; /* "backbone.embeddings", "backbone.layers[3]", "classifier" */
    int is_head;
    int32_t first_param; /* parameters first_param .. first_param + n_params - 1 */
    int32_t n_params;
    int64_t n_values; /* elements of all its parameters */
    int64_t n_values_frozen;
    int frozen; /* 1: frozen as a whole (for a head without parameters: its own flag) */
} mtf_unit_info;

typedef struct mtf_space_info {
    const char *name;   /* "sequences"; the family's own: "tokens"; those of heads: "picked" */
    int64_t max_length; /* most rows of one sequence */
    int of_heads;       /* 1: a sequence may have no rows, and a batch without offsets has none */
    int64_t row_cost;   /* rows of a token budget that one row counts as */
    int64_t rows_per_token; /* rows that count as one of a token budget */
    int is_grid; /* 1: rows are those of a picture, row by row: batches say how wide it is */
    int64_t height, width; /* the one grid it takes, where widths say what it is; 0: any */
    /* Of a space whose rows follow from those of another: that one's name, else NULL. A grid is
     * (side + 2 padding - kernel) / stride + 1 of it each way, rounded down, with `ceil` up as long as
     * the last window begins before the padding behind; what is no grid has `extra` rows more. */
    const char *of;
    int64_t kernel, stride, padding, extra;
    int ceil;
    int64_t fixed; /* every sequence has so many rows; 0: they differ */
} mtf_space_info;

typedef struct mtf_input_info {
    const char *name;  /* "ids", "token_types" */
    const char *space; /* of which it has one row each */
    int64_t width;     /* of a row of floats; 0: ids */
    int64_t limit;     /* ids are 0 .. limit - 1; 0: floats */
    int optional;      /* ids that a batch may leave out: all zeros */
} mtf_input_info;

typedef struct mtf_output_info {
    const char *name;  /* "hidden", "pooled", "embedding", "hidden_states.2", head names */
    const char *space; /* "tokens" or "sequences" */
    int64_t width;
    int32_t tensor; /* its number, see mtfreeze_nodes.h */
} mtf_output_info;

/* A counter that mtf_model_set_param, mtf_model_set_frozen and a change of heads raise, and steps do
 * not: while it stands still, what is frozen computes the same. */
uint64_t mtf_model_version(const mtf_model *model);
size_t mtf_model_n_params(const mtf_model *model);
size_t mtf_model_n_units(const mtf_model *model);
size_t mtf_model_n_spaces(const mtf_model *model);
size_t mtf_model_n_inputs(const mtf_model *model);
size_t mtf_model_n_outputs(const mtf_model *model);
/* Borrowed until the next change of heads. Indexes must be in range. */
void mtf_model_get_param(const mtf_model *model, size_t index, mtf_param_info *info);
void mtf_model_get_unit(const mtf_model *model, size_t index, mtf_unit_info *info);
void mtf_model_get_space(const mtf_model *model, size_t index, mtf_space_info *info);
void mtf_model_get_input(const mtf_model *model, size_t index, mtf_input_info *info);
void mtf_model_get_output(const mtf_model *model, size_t index, mtf_output_info *info);

/* The memory of a parameter's values, and of those that come and go with it. */
typedef struct mtf_values mtf_values;
/* Keeps the values of parameter `index`, which must be in range, readable where they are until they are
 * released, whatever becomes of its head and of the model. */
mtf_values *mtf_model_hold_values(const mtf_model *model, size_t index);
void mtf_values_release(mtf_values *values); /* on any thread; NULL is fine */

/* Copies `values` (n elements, C order) over parameter `index`; its optimizer state is kept. A forward
 * that waits for its backward waits no more. */
MTF_NODISCARD mtf_status mtf_model_set_param(mtf_model *model, size_t index, const mtf_real *values,
                                             size_t n, mtf_error *err);

/* ---- freezing -------------------------------------------------------------------------------- */

/* `params` (n_params) and `units` (n_units; read for heads only): 1 = frozen. Replaces the whole
 * freeze state. Gradients and moments of what becomes frozen are freed. Sizes must match. */
MTF_NODISCARD mtf_status mtf_model_set_frozen(mtf_model *model, const uint8_t *params,
                                              size_t n_params, const uint8_t *units, size_t n_units,
                                              mtf_error *err);

/* A freeze state to ask about, which the model need not be in. Frozen parameters have the precision
 * that mtf_model_set_precision() gave them. */
typedef struct mtf_freeze_mask {
    const uint8_t *params; /* (n_params) 1 = frozen */
    size_t n_params;
    const uint8_t *units; /* (n_units), read for heads only */
    size_t n_units;
} mtf_freeze_mask;

/* `params` (n_params) of mtf_precision: what the products of each parameter are made in while it is
 * frozen. Replaces what was said before; masters stay as they are. Raises the model's version. */
MTF_NODISCARD mtf_status mtf_model_set_precision(mtf_model *model, const uint8_t *params,
                                                 size_t n_params, mtf_error *err);

/* ---- batches: packed, no padding ------------------------------------------------------------- */

typedef struct mtf_rows {
    const char *space;      /* "tokens" */
    const int64_t *offsets; /* (B + 1), from 0, strictly rising: rows of sequence i are
                               offsets[i] .. offsets[i + 1] - 1 */
    const int64_t *widths;  /* (B) columns of each sequence's grid; NULL: unknown, or no grid. Rows
                               divided by them are heights. Prices need none; running needs those
                               of the grids that an operation looks around in */
} mtf_rows;

typedef struct mtf_input {
    const char *name;
    const void *data; /* int32 (N) for ids; mtf_real (N, width) for float rows */
} mtf_input;

typedef struct mtf_feature {
    const char *output;
    const mtf_real *values; /* (N, width) of that output */
} mtf_feature;

/* Sequences with rows in every row space of the family, and values for its inputs. An input may be
 * left out where nothing that runs reads it, and where the family declares it optional. The row space
 * "sequences" has one row a sequence and no offsets.
 *
 * A batch that carries features, values of outputs, is computed from there: what only they need does
 * not run. The same values give the same bits as running it. In training nothing below a given output
 * may train (MTF_ERR_VALUE names what does), so it is the frozen prefix's boundary
 * (mtf_model_get_prefix) or lies below; given outputs that nothing reads are passed over. */
typedef struct mtf_batch {
    int64_t n_sequences;
    size_t n_spaces;
    const mtf_rows *spaces;
    size_t n_inputs;
    const mtf_input *inputs;
    size_t n_features;
    const mtf_feature *features;
} mtf_batch;

/* ---- forward --------------------------------------------------------------------------------- */

typedef struct mtf_output {
    const char *name;
    mtf_real *data; /* (N, width) of that output, written; the caller's */
} mtf_output;

/* Inference: no dropout, nothing kept. The bits of a sequence's rows depend neither on the other
 * sequences nor on the number of threads. `precision`: MTF_AS_FROZEN, a mtf_precision, or
 * MTF_UNLESS_FROZEN + a mtf_precision. */
MTF_NODISCARD mtf_status mtf_model_forward(mtf_model *model, const mtf_batch *batch,
                                           size_t n_outputs, const mtf_output *outputs,
                                           int precision, mtf_error *err);

/* Names of what the frozen prefix hands on towards `outputs`, for training or inference: `names`
 * (MTF_MAX_FEATURES) receives *n of them. 0: there is no prefix, or it cannot be given. Outputs
 * below them may be given as well. `frozen`: the freeze state that is meant; NULL: the model's.
 * Changes nothing, as mtf_model_get_plan(). */
MTF_NODISCARD mtf_status mtf_model_get_prefix(mtf_model *model, int training, size_t n_outputs,
                                              const char *const *outputs,
                                              const mtf_freeze_mask *frozen, size_t *n,
                                              const char **names, mtf_error *err);

/* ---- training: begin, (forward, backward) per micro-batch, apply ------------------------------ */

/* Any order of calls is safe; one that means nothing is answered with MTF_ERR_STATE.
 *
 * A step is under way from mtf_train_begin(), or from a mtf_train_gradients() that succeeds, to
 * mtf_train_apply(). It ends unapplied with another begin or mtf_train_gradients(), be they refused or not,
 * with a change of heads, freezing or precisions, and with mtf_train_reset(). After a refused apply it is
 * still under way: it may be applied with other settings.
 *
 * A forward of mtf_train_forward() or mtf_train_outputs() waits for its backward until the step ends or
 * another batch comes: by mtf_model_forward(), mtf_train_forward(), mtf_train_outputs() or
 * mtf_train_gradients(), be they refused or not; or until mtf_model_set_param(). A refused backward may be
 * called again. Questions (mtf_model_get_...(), mtf_train_get_...()), mtf_train_set_gradient(),
 * mtf_train_set_state() and mtf_threads_set() let it wait.
 *
 * A training call that returns MTF_INTERRUPTED ends the step unapplied, whichever call it is. */

/* What a loss compares an output (N, width) with. */
typedef enum mtf_target_type {
    MTF_TARGET_LABELS = 0, /* int32 (N): classes; MTF_IGNORE_LABEL rows count nowhere */
    MTF_TARGET_ROWS = 1 /* mtf_real (N, mtf_loss_info.width): rows with NaN first count nowhere */
} mtf_target_type;

/* What a kind of loss lets be chosen; csrc/losses/<kind>.c says what it reads. Refused where it does
 * not. */
typedef struct mtf_loss_settings {
    double label_smoothing;      /* 0 <= e < 1; usually 0 */
    double focal;                /* exponent, 0 .. 100; usually 0 */
    double temperature;          /* above 0; usually 1 */
    double soft_share;           /* 0 .. 1, of soft targets beside labels; usually 0.5 */
    const double *class_weights; /* (n_class_weights), above 0; NULL: all 1 */
    int64_t n_class_weights;     /* columns of the output */
} mtf_loss_settings;

typedef struct mtf_loss {
    const char *output;   /* a head's name, or with a `kind` any output */
    const char *kind;     /* "cross_entropy", "mse", ...; NULL: what the head's kind says */
    mtf_target_type type; /* of `targets`; must be that of the kind of loss */
    const void *targets;  /* of that output's row space */
    double weight;        /* the mean over labelled rows is multiplied by it */
    const mtf_loss_settings *settings; /* NULL: the usual ones */
} mtf_loss;

typedef struct mtf_loss_info {
    const char *kind;
    mtf_target_type type; /* of its targets */
    int64_t width;        /* columns of targets that are rows; 0: labels */
} mtf_loss_info;

/* The kind of that name for outputs `n` wide. MTF_ERR_NAME lists those there are. */
MTF_NODISCARD mtf_status mtf_loss_get(const char *kind, int64_t n, mtf_loss_info *info,
                                      mtf_error *err);
/* What each sequence's rows would have as their mean loss if they were the whole step: values
 * (n_sequences), NaN for one without a target. y (m,n), of `parts` answers side by side; targets as a
 * loss takes them; offsets (n_sequences+1), from 0 to m. */
MTF_NODISCARD mtf_status mtf_loss_values(const mtf_loss *loss, const mtf_real *y, int64_t m,
                                         int64_t n, int64_t parts, const int64_t *offsets,
                                         int64_t n_sequences, double *values, mtf_error *err);

#define MTF_MOST_COST 1e300
/* Rows of a matrix of costs (n,m) to columns, one to one and as many as there can be, so that their
 * costs add up to the least: columns (n), -1 for a row that has none. Any thread. */
MTF_NODISCARD mtf_status mtf_assignment(const double *cost, int64_t n, int64_t m, int64_t *columns,
                                        mtf_error *err);

typedef struct mtf_injection {
    const char *output;
    const mtf_real *grad; /* (N, width): d loss / d output, added to what losses give */
} mtf_injection;

typedef struct mtf_train_options {
    uint64_t seed; /* dropout is drawn from (seed, step, operation, sequence, position, lane) */
    uint64_t step; /* from 0; messages count from 1 */
    int dropout;   /* 0: off everywhere */
    mtf_precision
        precision; /* F32 or BF16: of the step's products, forward, dx and dW; frozen parts
                                with a precision of their own run forward in that, and hand
                                gradients down in this one */
    int save_bf16; /* 1: activations kept for the backward pass are rounded to bfloat16 */
} mtf_train_options;

typedef struct mtf_update {
    const double *learning_rate; /* (n_params); read for tensors that are stepped; must be finite */
    const double *weight_decay;  /* (n_params) */
    double beta1, beta2;
    double eps;           /* 0: the bare formula, whose 0 / 0 is not refused */
    double max_grad_norm; /* <= 0: no clipping */
} mtf_update;

typedef struct mtf_update_result {
    double grad_norm; /* over all tensors that are stepped, before clipping */
    double clip;      /* factor applied, 1 = none */
    int64_t n_stepped;
} mtf_update_result;

/* The loss of that kind, or for NULL the one that the kind of the head `output` names. MTF_ERR_NAME:
 * there is none. */
MTF_NODISCARD mtf_status mtf_model_get_loss(const mtf_model *model, const char *output,
                                            const char *kind, mtf_loss_info *info, mtf_error *err);

/* Starts a step: gradients count as not reached. */
MTF_NODISCARD mtf_status mtf_train_begin(mtf_model *model, const mtf_train_options *options,
                                         mtf_error *err);
/* Forward of one micro-batch, keeping what the backward to `wanted` outputs needs; `values`
 * (n_wanted, or NULL; entries may be NULL) receives them. `batch` is borrowed until backward.
 * `first_sequence`, 0 .. MTF_MAX_COUNT, is the number of its first sequence in the step. */
MTF_NODISCARD mtf_status mtf_train_forward(mtf_model *model, const mtf_batch *batch,
                                           int64_t first_sequence, size_t n_wanted,
                                           const char *const *wanted, mtf_real *const *values,
                                           mtf_error *err);
/* Values of outputs of a whole step, in micro-batches as by mtf_train_gradients(), for losses that
 * are not of the core. *waits: 1 if there was one micro-batch, whose forward now waits for its
 * backward as after mtf_train_forward(); 0: call mtf_train_gradients() with the gradients of these
 * losses as injections. Same options, same dropout, same bits. */
MTF_NODISCARD mtf_status mtf_train_outputs(mtf_model *model, const mtf_batch *batch,
                                           size_t n_outputs, const mtf_output *outputs,
                                           int64_t token_budget, int *waits, mtf_error *err);
/* Backward of the last forward: losses use `scale[i]` (weight over labelled rows, or the sum
 * of their class weights, of the whole step) instead of their weight; `loss_sums` (n_losses) receives the sum of the loss over labelled
 * rows, the weighted sum where classes have weights. Gradients add to those of earlier micro-batches of the step. */
MTF_NODISCARD mtf_status mtf_train_backward(mtf_model *model, size_t n_losses,
                                            const mtf_loss *losses, const double *scale,
                                            double *loss_sums, size_t n_injections,
                                            const mtf_injection *injections, mtf_error *err);
/* Clips by the global norm and applies AdamW to every trainable tensor that was reached.
 * MTF_ERR_NONFINITE names the first tensor with a gradient, or with weights or moments after the step,
 * that are not finite; nothing was changed. */
MTF_NODISCARD mtf_status mtf_train_apply(mtf_model *model, const mtf_update *update,
                                         mtf_update_result *result, mtf_error *err);
/* Losses and gradients of a whole batch, cut into micro-batches of whole sequences that have at most
 * `token_budget` rows in any row space (a longer single sequence is one micro-batch): begin, forward,
 * backward, without apply. `loss_means` and `n_labelled` (n_losses) may be NULL. A loss without a labelled
 * row has mean 0 and reaches nothing. */
MTF_NODISCARD mtf_status mtf_train_gradients(mtf_model *model, const mtf_batch *batch,
                                             size_t n_losses, const mtf_loss *losses,
                                             size_t n_injections, const mtf_injection *injections,
                                             int64_t token_budget, const mtf_train_options *options,
                                             double *loss_means, int64_t *n_labelled,
                                             mtf_error *err);

/* Gradient of the step under way, (shape), or NULL: frozen or not reached. */
const mtf_real *mtf_train_get_gradient(const mtf_model *model, size_t index);
/* Replaces a trainable tensor's gradient (n elements) and counts it as reached. */
MTF_NODISCARD mtf_status mtf_train_set_gradient(mtf_model *model, size_t index,
                                                const mtf_real *values, size_t n, mtf_error *err);
/* First and second moment (shape) and step count of one tensor, or NULLs: it has no state. */
void mtf_train_get_state(const mtf_model *model, size_t index, const mtf_real **moment1,
                         const mtf_real **moment2, int64_t *n_steps);
/* Sets them; n_steps: 0 .. MTF_MAX_COUNT. */
MTF_NODISCARD mtf_status mtf_train_set_state(mtf_model *model, size_t index,
                                             const mtf_real *moment1, const mtf_real *moment2,
                                             size_t n, int64_t n_steps, mtf_error *err);
/* Frees gradients and moments of every tensor, and the arenas. */
void mtf_train_reset(mtf_model *model);

/* ---- plans: what a freeze choice runs, keeps and costs ---------------------------------------- */

typedef struct mtf_plan_request {
    int training; /* 0: inference of `outputs` */
    size_t n_outputs;
    const char *const *outputs; /* training: the outputs that receive a gradient */
    int64_t n_sequences;        /* of the whole batch, with its offsets as in mtf_batch */
    size_t n_spaces;
    const mtf_rows *spaces;
    size_t n_features;
    const char *const *features; /* the outputs whose values the batch would carry */
    int64_t token_budget;        /* training: cut as by mtf_train_gradients(); inference: unread */
    int precision;               /* inference: as mtf_model_forward(); training: a mtf_precision */
    int save_bf16;               /* training: as mtf_train_options */
    const mtf_freeze_mask *frozen; /* the freeze state that is priced; NULL: the model's */
} mtf_plan_request;

typedef struct mtf_plan_unit {
    double forward_flops, dx_flops, dw_flops;
    uint64_t saved_bytes; /* activations of this unit kept for the backward pass, likewise */
    int runs, in_prefix, dropout;
} mtf_plan_unit;

typedef struct mtf_plan_info {
    double forward_flops, prefix_flops, dx_flops, dw_flops;
    uint64_t weight_bytes;          /* fp32 masters */
    uint64_t form_bytes;            /* packed copies of the weights that the plan reads */
    uint64_t gradient_bytes;        /* of the parameters that a step of this plan reaches */
    uint64_t moment_bytes;          /* both moments of the same */
    uint64_t row_bytes;             /* what is known of the rows of tables among them, and the
                                       statistics that a step finds */
    int couples;                    /* 1: an operation takes the whole batch, which is not cut */
    uint64_t saved_bytes;           /* arena of activations kept from forward to backward */
    uint64_t activation_grad_bytes; /* arena of their gradients */
    uint64_t worker_bytes;          /* scratch of all worker threads, as many as are set now */
    uint64_t shared_bytes;          /* what they share in a backward step */
    int64_t n_trainable, n_values;  /* parameters, elements */
    int n_forward, n_backward;      /* operations run */
} mtf_plan_info;

/* FLOPs of the whole batch, and the memory that running it reserves: that of its largest micro-batch.
 * `units` (mtf_model_n_units) or NULL. Makes the same plan that the runner executes, for itself alone:
 * nothing of the model changes, and a forward that waits for its backward goes on. MTF_ERR_VALUE,
 * MTF_ERR_SHAPE: as running that batch would. */
MTF_NODISCARD mtf_status mtf_model_get_plan(mtf_model *model, const mtf_plan_request *request,
                                            mtf_plan_info *info, mtf_plan_unit *units,
                                            mtf_error *err);

#ifdef __cplusplus
}
#endif
#endif
