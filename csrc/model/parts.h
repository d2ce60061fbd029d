/* parts.h: what families and heads build of: parameters together with the node that reads them.
 *
 * A part is named within its block: part "p" of a block has the keys "<keys>.p.weight" and
 * "<keys>.p.bias" and the label "<label> p"; the part "" is the block itself. Like the calls of
 * program.h these return MTF_NO_TENSOR (parameters: -1) after a first failure, which sticks. They
 * stand in model/ because families, heads and pooling.c all use them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_MODEL_PARTS_H
#define MTF_MODEL_PARTS_H

#include "config.h"
#include "program.h"

/* Where parts are declared, and how their weights start. Borrowed texts. */
typedef struct mtf_block {
    mtf_program *program;
    const char *keys, *label;
    mtf_init init; /* of weights of two dimensions; those of one start at one, biases at zero */
    double init_bound;
} mtf_block;

/* The longest key or label of a part, with its end. */
#define MTF_PART_NAME 256

/* Writes "<label> <part>" and returns it: for nodes that are no parts. */
const char *mtf_part_label(const mtf_block *block, const char *part, char label[MTF_PART_NAME]);
/* Factor of a product or look-up table (rows, cols); decays. */
int32_t mtf_part_weight(const mtf_block *block, const char *part, int64_t rows, int64_t cols);
/* Parameter "<keys>.<part>" itself: a factor a column, one at first; does not decay. */
int32_t mtf_part_factors(const mtf_block *block, const char *part, int64_t n);
/* act(x W^T + b), n wide. */
mtf_tensor_id mtf_part_dense(const mtf_block *block, const char *part, mtf_tensor_id x, int64_t n,
                             mtf_activation activation);
/* The same, the weight stored (inputs, n) as GPT-2's Conv1D does. */
mtf_tensor_id mtf_part_conv1d(const mtf_block *block, const char *part, mtf_tensor_id x, int64_t n,
                              mtf_activation activation);
/* As mtf_part_dense, with a bias or none. */
mtf_tensor_id mtf_part_linear(const mtf_block *block, const char *part, mtf_tensor_id x, int64_t n,
                              int has_bias, mtf_activation activation);
/* n_parts (1 to 3) such layers without activation over the same rows, in one node named `part`:
 * parts[i], widths[i] wide, into out[i]. */
void mtf_part_linears(const mtf_block *block, const char *part, mtf_tensor_id x, int n_parts,
                      const char *const *parts, const int64_t *widths, int has_bias,
                      mtf_tensor_id *out);
/* Division of x + residual (MTF_NO_TENSOR: none) by its root mean square over groups of `width`
 * columns, 0: all of them; `sum` as below. */
mtf_tensor_id mtf_part_rmsnorm(const mtf_block *block, const char *part, mtf_tensor_id x,
                               mtf_tensor_id residual, int64_t width, double eps,
                               mtf_tensor_id *sum);
/* Layer normalisation of x + residual, which may be MTF_NO_TENSOR; with a bias or none. `sum` NULL, or
 * receives x + residual. */
mtf_tensor_id mtf_part_layernorm(const mtf_block *block, const char *part, mtf_tensor_id x,
                                 mtf_tensor_id residual, int has_bias, double eps,
                                 mtf_tensor_id *sum);
/* The same with a bias, and nobody else reads the sum. */
mtf_tensor_id mtf_part_norm(const mtf_block *block, const char *part, mtf_tensor_id x,
                            mtf_tensor_id residual, double eps);
/* `part` names the draws; rate 0: returns x. */
mtf_tensor_id mtf_part_dropout(const mtf_block *block, const char *part, mtf_tensor_id x,
                               double rate);

/* A bias by distance that one or more attentions read: parameter (buckets, heads), and the distance
 * from which on there is one bucket. */
typedef struct mtf_relative_part {
    int32_t table;
    int64_t max_distance;
} mtf_relative_part;

/* Rows by place, ahead and back, whose projections contents attend to besides (disentangled.c): each of
 * the two dense parts may be that of the contents, or NULL. */
typedef struct mtf_distances_part {
    mtf_tensor_id ahead, back;
    const char *key, *query; /* multiplied by a query, by a key */
    double rate;             /* of dropping values of the rows, anew in each attention */
} mtf_distances_part;

/* Attention of x to itself: Wo attention(Wq x, Wk x, Wv x), scaled by 1/sqrt(width of a head), or
 * of so many heads as there are kinds of scores. */
typedef struct mtf_attention_part {
    const char *query, *key, *value, *output; /* the four dense parts */
    int64_t n_heads;
    int unbiased;                        /* query, key and value have no bias */
    double rate;                         /* of dropping probabilities */
    const mtf_relative_part *relative;   /* NULL: none */
    const mtf_distances_part *distances; /* NULL: none; not both */
} mtf_attention_part;

/* `part` names the draws. */
mtf_tensor_id mtf_part_attention(const mtf_block *block, const char *part,
                                 const mtf_attention_part *names, mtf_tensor_id x);

/* ---- layers.c ---- */
/* The computation of layer `index` over x, its parameters in `block`; `of` is the family's own. */
typedef mtf_tensor_id (*mtf_layer_builder)(const mtf_block *block, const void *of, int64_t index,
                                           mtf_tensor_id x);
/* The units "backbone.layers[i]", their keys in "<keys>.<i>", and what each reads as output
 * "hidden_states.<i>". */
mtf_tensor_id mtf_build_layers(mtf_program *program, const char *keys, int64_t n_layers,
                               mtf_layer_builder build, const void *of, mtf_tensor_id x);
/* One of them, in the unit `unit`, which may have others. */
mtf_tensor_id mtf_build_layer(const mtf_block *block, const char *unit, int64_t index,
                              mtf_layer_builder build, const void *of, mtf_tensor_id x);
/* What the last one gives: the outputs "hidden_states.<n_layers>" and "hidden". */
void mtf_end_layers(mtf_program *program, int64_t n_layers, mtf_tensor_id x);
/* The norm above all layers of a pre-norm family stands between these, in place of mtf_end_layers: the
 * unit "backbone.final_norm", below it x as output "layers" (so that it can be stored where the norm
 * trains and they do not), above it what transformers calls the last hidden states. */
void mtf_begin_final_norm(mtf_program *program, mtf_tensor_id x);
void mtf_end_final_norm(mtf_program *program, int64_t n_layers, mtf_tensor_id normalised);

/* ---- sizes.c ---- */
/* No width, vocabulary or number of positions is larger. */
#define MTF_MOST_WIDE (INT64_C(1) << 24)

typedef struct mtf_backbone_sizes {
    int64_t width, n_layers, n_heads, ffn, vocabulary, positions;
} mtf_backbone_sizes;

/* By the names that most families give them: "hidden_size", "num_hidden_layers", ... */
MTF_NODISCARD mtf_status mtf_read_sizes(mtf_backbone_sizes *sizes, const mtf_config *config,
                                        mtf_error *err);
/* Whether width is cut into whole heads; the message names the two keys. */
MTF_NODISCARD mtf_status mtf_check_heads(int64_t width, const char *width_key, int64_t n_heads,
                                         const char *heads_key, mtf_error *err);

/* ---- batch_norm.c ---- */
/* torch.nn.BatchNorm2d's, which most configurations do not state. */
#define MTF_NORM_EPS      1e-5
#define MTF_NORM_MOMENTUM 0.1

/* What batch norms of units that train go by, key "batch_norm": 1 "batch", 0 "stored", the default. */
MTF_NODISCARD mtf_status mtf_read_batch_norm(const mtf_config *config, int *by_batch,
                                             mtf_error *err);
/* What `spec` has of a batch norm over `width` columns: parameters "<keys>.weight", ".bias" and its
 * statistics "<keys>.running_mean", ".running_var". With spec->by_batch batches move these by
 * spec->momentum; they are frozen with the mean, and so is ".num_batches_tracked", which matters to no
 * one but files. */
void mtf_part_batch_norm(mtf_program *program, const char *keys, int64_t width,
                         mtf_convolution_spec *spec);

/* ---- activations.c ---- */
/* The activation that a key names ("gelu", "gelu_new", "relu", ...); *activation stays when absent. */
MTF_NODISCARD mtf_status mtf_read_activation(const mtf_config *config, const char *key,
                                             mtf_activation *activation, mtf_error *err);

/* ---- pooling.c ---- */
/* A family's own pooler, act(W first + b): part `part` of the block and unit "backbone.pooler". Or what
 * `build` makes of `hidden`, in units of its own; `of` is the family's. */
typedef struct mtf_pooler {
    const char *part;
    mtf_activation activation;
    int64_t width; /* of what it gives; 0: of what it reads */
    mtf_tensor_id (*build)(mtf_program *program, const void *of, mtf_tensor_id hidden);
    const void *of;
} mtf_pooler;
extern const mtf_pooler mtf_bert_pooler; /* tanh, "dense" */
/* Sequence vectors of an encoder over `hidden`: output "pooled" by key "pooling" (the names of
 * mtf_build_pool, or "pooler") and the Dense modules after it, and "embedding" (L2-normalized when
 * key "normalize" is true). `pooler` NULL: the family has none, "pooler" is refused. */
mtf_status mtf_build_pooling(mtf_program *program, const mtf_config *config, mtf_tensor_id hidden,
                             const mtf_pooler *pooler, mtf_error *err);
/* A pooled vector of `hidden` without parameters: "mean", "cls", "max", "mean_sqrt_len_tokens",
 * "weightedmean" or "lasttoken", or several joined by "+", side by side in that order. MTF_NO_TENSOR
 * for other names. Rows are left out where the program has the input "skip". */
mtf_tensor_id mtf_build_pool(mtf_program *program, const char *label, const char *how,
                             mtf_tensor_id hidden);
/* Where key "include_prompt" is false: the input "skip", how many first rows of each sequence are a
 * prompt's, which no pooling reads. A batch without it has none. Declared before a family builds. */
mtf_status mtf_declare_skip(mtf_program *program, const mtf_config *config, mtf_error *err);

/* ---- dense.c ---- */
/* The unit "backbone.dense": key "n_dense" layers after each other over *x, each y = act(W x + b), or
 * that plus x itself, or plus R x where the widths differ: keys "dense.<i>.width", ".inputs"
 * (checked where it is there), ".activation", ".bias" and ".residual". Parameters "backbone.dense.<i>.linear.weight" and so on. */
mtf_status mtf_build_dense(mtf_program *program, const mtf_config *config, mtf_tensor_id *x,
                           mtf_error *err);

#endif
