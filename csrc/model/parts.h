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

/* Factor of a product or look-up table (rows, cols); decays. */
int32_t mtf_part_weight(const mtf_block *block, const char *part, int64_t rows, int64_t cols);
/* act(x W^T + b), n wide. */
mtf_tensor_id mtf_part_dense(const mtf_block *block, const char *part, mtf_tensor_id x, int64_t n,
                             mtf_activation activation);
/* Layer normalisation of x + residual, which may be MTF_NO_TENSOR. */
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

/* Attention of x to itself: Wo attention(Wq x, Wk x, Wv x), scaled by 1/sqrt(width of a head). */
typedef struct mtf_attention_part {
    const char *query, *key, *value, *output; /* the four dense parts */
    int64_t n_heads;
    double rate;                       /* of dropping probabilities */
    const mtf_relative_part *relative; /* NULL: none */
} mtf_attention_part;

/* `part` names the draws. */
mtf_tensor_id mtf_part_attention(const mtf_block *block, const char *part,
                                 const mtf_attention_part *names, mtf_tensor_id x);

/* ---- pooling.c ---- */
/* Sequence vectors of an encoder over `hidden`: output "pooled" by key "pooling" ("mean", "cls",
 * "pooler"), and "embedding" (L2-normalized when key "normalize" is true). */
mtf_status mtf_build_pooling(mtf_program *program, const mtf_config *config, mtf_tensor_id hidden,
                             mtf_error *err);
/* A family's own pooler, act(W first + b): part `part` of the block and unit "backbone.pooler". */
typedef struct mtf_pooler {
    const char *part;
    mtf_activation activation;
} mtf_pooler;
extern const mtf_pooler mtf_bert_pooler; /* tanh, "dense": what mtf_build_pooling has */
/* mtf_build_pooling with another pooler; NULL: the family has none, "pooler" is refused. */
mtf_status mtf_build_pooling_with(mtf_program *program, const mtf_config *config,
                                  mtf_tensor_id hidden, const mtf_pooler *pooler, mtf_error *err);
/* A pooled vector of `hidden` without parameters: "mean" or "cls"; MTF_NO_TENSOR for other names. */
mtf_tensor_id mtf_build_pool(mtf_program *program, const char *label, const char *how,
                             mtf_tensor_id hidden);

#endif
