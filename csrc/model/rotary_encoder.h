/* rotary_encoder.h: post-norm encoders with rotary positions and gated products, as data.
 *
 *   x = LayerNorm(word[id] + type[t])
 *   x = LayerNorm(x + dropout(Wo attention(rotate q, rotate k, v))),  [q|k|v] = Wqkv x    per layer
 *   x = LayerNorm(x + dropout(Wdown dropout'(act(Wgate x) * Wup x)))
 *
 * NomicBERT and GTE are such forms: how their parts are called, which have biases, and whether one
 * product makes both sides of the gate. Keys of the configuration are BERT's names, and "rope_theta",
 * "embedding_dropout"; Python hands them over so.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_MODEL_ROTARY_ENCODER_H
#define MTF_MODEL_ROTARY_ENCODER_H

#include "rotary_attention.h"

/* Names of parts: of the embeddings in the block "backbone.embeddings", the norm above them in the
 * block `norm_keys`, those of layer i in the block "<layers>.<i>". */
typedef struct mtf_rotary_form {
    const char *word, *type, *norm_keys, *norm;
    const char *layers;
    const char *qkv, *attention_output, *attention_norm;
    const char *up, *gate; /* gate NULL: `up` makes [up|gate] */
    const char *down, *down_norm;
    int attention_bias, down_bias;
    int drops_product; /* dropout' is there, at the rate of the other */
} mtf_rotary_form;

/* The whole backbone, with poolings; there is no pooler. */
MTF_NODISCARD mtf_status mtf_rotary_encoder_build(mtf_program *program, const mtf_rotary_form *form,
                                                  const mtf_config *config, mtf_error *err);

#endif
