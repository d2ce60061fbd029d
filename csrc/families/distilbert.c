/* distilbert.c: DistilBERT (Sanh et al. 2019): BERT without token types, under other names.
 *
 * There is no dropout after attention's output, no pooler, and eps is the constant 1e-12.
 * sinusoidal_pos_embds says how the table of positions began, which is in the file.
 * SPDX-License-Identifier: Apache-2.0 */
#include "families.h"

extern const mtf_family mtf_family_distilbert;

static const mtf_encoder_form form = {
    .keys = {.width = "dim",
             .n_layers = "n_layers",
             .n_heads = "n_heads",
             .ffn = "hidden_dim",
             .vocabulary = "vocab_size",
             .n_positions = "max_position_embeddings",
             .dropout = "dropout",
             .attention_dropout = "attention_dropout",
             .activation = "activation"},
    .word = "word_embeddings",
    .position = "position_embeddings",
    .embedding_norm = "LayerNorm",
    .layers = "backbone.transformer.layer",
    .query = "attention.q_lin",
    .key = "attention.k_lin",
    .value = "attention.v_lin",
    .attention_output = "attention.out_lin",
    .attention_norm = "sa_layer_norm",
    .inner = "ffn.lin1",
    .outer = "ffn.lin2",
    .outer_norm = "output_layer_norm",
    .eps = 1e-12,
    .dropout = 0.1,
    .attention_dropout = 0.1,
    .activation = MTF_ACT_GELU,
};

static mtf_status build(mtf_program *program, const mtf_config *config, mtf_error *err)
{
    mtf_encoder encoder;
    MTF_TRY(mtf_encoder_read(&encoder, &form, config, err));
    encoder.reads_types = 0;
    encoder.attention_output_dropout = 0;
    return mtf_encoder_build(program, &encoder, NULL, config, err);
}

const mtf_family mtf_family_distilbert = {"distilbert", build};
