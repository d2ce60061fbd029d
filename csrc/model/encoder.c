/* encoder.c: encoders of BERT's kind; see encoder.h.
 *
 * Labels of dropout nodes are what their draws depend on: a label that changes changes every run.
 * SPDX-License-Identifier: Apache-2.0 */
#include "encoder.h"

#include "../base/status.h"

#include <string.h>

const mtf_encoder_form mtf_bert_form = {
    .keys = {.width = "hidden_size",
             .n_layers = "num_hidden_layers",
             .n_heads = "num_attention_heads",
             .ffn = "intermediate_size",
             .vocabulary = "vocab_size",
             .n_positions = "max_position_embeddings",
             .n_types = "type_vocab_size",
             .eps = "layer_norm_eps",
             .dropout = "hidden_dropout_prob",
             .attention_dropout = "attention_probs_dropout_prob",
             .activation = "hidden_act"},
    .word = "word_embeddings",
    .position = "position_embeddings",
    .type = "token_type_embeddings",
    .embedding_norm = "LayerNorm",
    .layers = "backbone.encoder.layer",
    .query = "attention.self.query",
    .key = "attention.self.key",
    .value = "attention.self.value",
    .attention_output = "attention.output.dense",
    .attention_norm = "attention.output.LayerNorm",
    .inner = "intermediate.dense",
    .outer = "output.dense",
    .outer_norm = "output.LayerNorm",
    .eps = 1e-12,
    .dropout = 0.1,
    .attention_dropout = 0.1,
    .activation = MTF_ACT_GELU,
};

/* Keys that change what such an encoder computes and that none carries out. */
static mtf_status refuse_unsupported(const mtf_config *config, mtf_error *err)
{
    const char *kind = "absolute";
    MTF_TRY(mtf_config_get_text(config, "position_embedding_type", &kind, err));
    if (strcmp(kind, "absolute") != 0) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "position_embedding_type \"%.100s\" changes the computation and is not "
                        "supported; \"absolute\" is",
                        kind);
    }
    static const char *const switches[] = {"is_decoder", "add_cross_attention"};
    for (size_t i = 0; i < 2; i++) {
        int on = 0;
        MTF_TRY(mtf_config_get_bool(config, switches[i], &on, err));
        if (on) {
            return mtf_fail(err, MTF_ERR_CONFIG,
                            "configuration key \"%s\" is true: decoders are not supported; load an "
                            "encoder",
                            switches[i]);
        }
    }
    return MTF_OK;
}

static mtf_status read_size(const mtf_config *config, const char *key, int64_t most, int required,
                            int64_t *value, mtf_error *err)
{
    return key != NULL ? mtf_config_get_int(config, key, 1, most, required, value, err) : MTF_OK;
}

static mtf_status read_rate(const mtf_config *config, const char *key, double *value,
                            mtf_error *err)
{
    return key != NULL ? mtf_config_get_real(config, key, 0, 0.999, value, err) : MTF_OK;
}

mtf_status mtf_encoder_read(mtf_encoder *e, const mtf_encoder_form *form, const mtf_config *config,
                            mtf_error *err)
{
    const mtf_encoder_keys *keys = &form->keys;
    *e = (mtf_encoder){.form = form,
                       .n_types = 2,
                       .eps = form->eps,
                       .activation = form->activation,
                       .dropout = form->dropout,
                       .attention_dropout = form->attention_dropout,
                       .reads_types = 1,
                       .pad = -1};
    MTF_TRY(refuse_unsupported(config, err));
    MTF_TRY(read_size(config, keys->width, MTF_MOST_WIDE, 1, &e->width, err));
    MTF_TRY(read_size(config, keys->n_layers, 4096, 1, &e->n_layers, err));
    MTF_TRY(read_size(config, keys->n_heads, 4096, 1, &e->n_heads, err));
    MTF_TRY(read_size(config, keys->ffn, MTF_MOST_WIDE, 1, &e->ffn, err));
    MTF_TRY(read_size(config, keys->vocabulary, MTF_MOST_WIDE, 1, &e->vocabulary, err));
    MTF_TRY(read_size(config, keys->n_positions, MTF_MOST_WIDE, 1, &e->n_positions, err));
    MTF_TRY(read_size(config, keys->n_types, 4096, 0, &e->n_types, err));
    if (keys->eps != NULL) {
        MTF_TRY(mtf_config_get_eps(config, keys->eps, &e->eps, err));
    }
    MTF_TRY(read_rate(config, keys->dropout, &e->dropout, err));
    MTF_TRY(read_rate(config, keys->attention_dropout, &e->attention_dropout, err));
    e->embedding_width = e->width;
    e->attention_output_dropout = e->output_dropout = e->dropout;
    MTF_TRY(mtf_read_activation(config, keys->activation, &e->activation, err));
    return mtf_check_heads(e->width, keys->width, e->n_heads, keys->n_heads, err);
}

mtf_tensor_id mtf_encoder_embeddings(mtf_program *p, const mtf_encoder *e)
{
    const mtf_encoder_form *form = e->form;
    const mtf_block block = {
        .program = p, .keys = "backbone.embeddings", .label = "backbone.embeddings"};
    const int32_t tokens = mtf_program_space(p, "tokens", e->n_positions - (e->pad + 1));
    const mtf_tensor_id ids = mtf_program_input_ids(p, "ids", tokens, e->vocabulary, 0);
    mtf_tensor_id types = MTF_NO_TENSOR;
    if (e->reads_types) {
        types = mtf_program_input_ids(p, "token_types", tokens, e->n_types, 1);
    }
    mtf_program_unit(p, "backbone.embeddings", 0);
    const int64_t width = e->embedding_width;
    const int32_t word = mtf_part_weight(&block, form->word, e->vocabulary, width);
    const int32_t position = form->position != NULL
                                 ? mtf_part_weight(&block, form->position, e->n_positions, width)
                                 : -1;
    const int32_t type =
        form->type != NULL ? mtf_part_weight(&block, form->type, e->n_types, width) : -1;
    mtf_tensor_id x = mtf_node_embedding(p, "backbone.embeddings sum", ids, types, word, position,
                                         type, 0, (int32_t)e->pad);
    x = mtf_part_norm(&block, form->embedding_norm, x, MTF_NO_TENSOR, e->eps);
    x = mtf_part_dropout(&block, "dropout", x, e->dropout);
    mtf_program_end_unit(p);
    return x;
}

mtf_tensor_id mtf_encoder_projection(mtf_program *p, const mtf_encoder *e, const char *part,
                                     mtf_tensor_id x)
{
    const mtf_block block = {.program = p, .keys = "backbone", .label = "backbone"};
    mtf_program_unit(p, "backbone.embeddings", 0);
    x = mtf_part_dense(&block, part, x, e->width, MTF_ACT_NONE);
    mtf_program_end_unit(p);
    return x;
}

mtf_tensor_id mtf_encoder_layer(const mtf_block *block, const void *encoder, int64_t index,
                                mtf_tensor_id x)
{
    const mtf_encoder *e = encoder;
    const mtf_encoder_form *form = e->form;
    (void)index;
    const mtf_attention_part attention = {.query = form->query,
                                          .key = form->key,
                                          .value = form->value,
                                          .output = form->attention_output,
                                          .n_heads = e->n_heads,
                                          .rate = e->attention_dropout,
                                          .relative = e->relative,
                                          .distances = e->distances};
    mtf_tensor_id a = mtf_part_attention(block, "attention", &attention, x);
    a = mtf_part_dropout(block, "attention dropout", a, e->attention_output_dropout);
    x = mtf_part_norm(block, form->attention_norm, a, x, e->eps);
    mtf_tensor_id f = mtf_part_dense(block, form->inner, x, e->ffn, e->activation);
    f = mtf_part_dense(block, form->outer, f, e->width, MTF_ACT_NONE);
    f = mtf_part_dropout(block, "output dropout", f, e->output_dropout);
    return mtf_part_norm(block, form->outer_norm, f, x, e->eps);
}

mtf_tensor_id mtf_encoder_layers(mtf_program *p, const mtf_encoder *e, mtf_tensor_id x)
{
    x = mtf_build_layers(p, e->form->layers, e->n_layers, mtf_encoder_layer, e, x);
    mtf_end_layers(p, e->n_layers, x);
    return x;
}

mtf_status mtf_encoder_build(mtf_program *program, const mtf_encoder *encoder,
                             const mtf_pooler *pooler, const mtf_config *config, mtf_error *err)
{
    mtf_tensor_id x = mtf_encoder_embeddings(program, encoder);
    x = mtf_encoder_layers(program, encoder, x);
    return mtf_build_pooling(program, config, x, pooler, err);
}
