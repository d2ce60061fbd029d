/* encoder.h: encoders of BERT's kind, post-norm with absolute positions, as data.
 *
 *   x = LayerNorm(word[id] + position[i] + type[t])
 *   x = LayerNorm(x + dropout(Wo attention(Wq x, Wk x, Wv x)))      per layer
 *   x = LayerNorm(x + dropout(W2 act(W1 x)))
 *
 * A family of this kind is a form (how its keys and parts are called) and a few numbers; one that
 * differs in one place builds with the functions below that do the rest.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_MODEL_ENCODER_H
#define MTF_MODEL_ENCODER_H

#include "parts.h"

/* Keys of config.json. NULL: the family has none, the form's number stands. */
typedef struct mtf_encoder_keys {
    const char *width, *n_layers, *n_heads, *ffn, *vocabulary, *n_positions, *n_types;
    const char *eps, *dropout, *attention_dropout, *activation;
} mtf_encoder_keys;

/* Names of parts; parts of the embeddings in the block "backbone.embeddings", of layer i in the block
 * "<layers>.<i>". `position` or `type` NULL: there is no such table. */
typedef struct mtf_encoder_form {
    mtf_encoder_keys keys;
    const char *word, *position, *type, *embedding_norm;
    const char *layers;
    const char *query, *key, *value, *attention_output, *attention_norm;
    const char *inner, *outer, *outer_norm; /* of the feed-forward network */
    double eps, dropout, attention_dropout; /* where the configuration has none */
    mtf_activation activation;              /* likewise */
} mtf_encoder_form;

/* Of BERT, and of all whose checkpoints have the names of its classes. */
extern const mtf_encoder_form mtf_bert_form;

typedef struct mtf_encoder {
    const mtf_encoder_form *form;
    int64_t width, n_layers, n_heads, ffn, vocabulary, n_positions, n_types;
    int64_t embedding_width;                /* of the tables; `width` when read */
    double eps, dropout, attention_dropout; /* rates: of rows, of attention's probabilities */
    double attention_output_dropout;        /* after attention's output; `dropout` when read */
    double output_dropout;                  /* after the feed-forward network; likewise */
    mtf_activation activation;
    const mtf_relative_part *relative;   /* of all layers, or NULL */
    const mtf_distances_part *distances; /* likewise */
    int reads_types; /* batches may name the type of each token; else all are of type 0 */
    int64_t pad;     /* -1: positions are counted from 0; else see mtf_node_embedding */
} mtf_encoder;

/* What config.json says of an encoder of this form. Beside the form's numbers: 2 types that batches may
 * name, positions counted from 0. Refuses what no encoder of this kind carries out. */
MTF_NODISCARD mtf_status mtf_encoder_read(mtf_encoder *encoder, const mtf_encoder_form *form,
                                          const mtf_config *config, mtf_error *err);
/* Declares the space "tokens", the inputs "ids" and (reads_types) "token_types" and the unit
 * "backbone.embeddings". */
mtf_tensor_id mtf_encoder_embeddings(mtf_program *program, const mtf_encoder *encoder);
/* What such embeddings x are multiplied by to have the layers' width: part `part` of the backbone, of the
 * same unit. */
mtf_tensor_id mtf_encoder_projection(mtf_program *program, const mtf_encoder *encoder,
                                     const char *part, mtf_tensor_id x);
/* An mtf_layer_builder: the computation of one layer of an mtf_encoder, all of which are alike. */
mtf_tensor_id mtf_encoder_layer(const mtf_block *block, const void *encoder, int64_t index,
                                mtf_tensor_id x);
/* The units "backbone.layers[i]" and the outputs "hidden_states.<i>" and "hidden", above x. */
mtf_tensor_id mtf_encoder_layers(mtf_program *program, const mtf_encoder *encoder, mtf_tensor_id x);
/* All of it, with poolings (pooling.c): the backbone of a family that differs nowhere. `pooler` NULL:
 * the family has none. */
MTF_NODISCARD mtf_status mtf_encoder_build(mtf_program *program, const mtf_encoder *encoder,
                                           const mtf_pooler *pooler, const mtf_config *config,
                                           mtf_error *err);

#endif
