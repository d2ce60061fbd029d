/* rotary_encoder.c: see rotary_encoder.h.
 *
 * Labels of dropout nodes are what their draws depend on: a label that changes changes every run.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rotary_encoder.h"

#include "../base/status.h"

typedef struct rotary_config {
    const mtf_rotary_form *form;
    mtf_backbone_sizes size;
    int64_t types;
    double eps, dropout, embedding_dropout, attention_dropout, theta;
    mtf_activation activation;
} rotary_config;

static mtf_status read_config(rotary_config *c, const mtf_rotary_form *form,
                              const mtf_config *config, mtf_error *err)
{
    *c = (rotary_config){.form = form, .eps = 1e-12, .theta = 10000, .activation = MTF_ACT_GELU};
    MTF_TRY(mtf_read_sizes(&c->size, config, err));
    MTF_TRY(mtf_config_get_int(config, "type_vocab_size", 0, 4096, 0, &c->types, err));
    MTF_TRY(mtf_config_get_eps(config, "layer_norm_eps", &c->eps, err));
    MTF_TRY(mtf_config_get_real(config, "hidden_dropout_prob", 0, 0.999, &c->dropout, err));
    c->embedding_dropout = c->dropout;
    MTF_TRY(mtf_config_get_real(config, "embedding_dropout", 0, 0.999, &c->embedding_dropout, err));
    MTF_TRY(mtf_config_get_real(config, "attention_probs_dropout_prob", 0, 0.999,
                                &c->attention_dropout, err));
    MTF_TRY(mtf_config_get_real(config, "rope_theta", 1, 1e30, &c->theta, err));
    MTF_TRY(mtf_read_activation(config, "hidden_act", &c->activation, err));
    return mtf_check_rotary_heads(c->size.width, "hidden_size", c->size.n_heads,
                                  "num_attention_heads", err);
}

static mtf_tensor_id build_embeddings(mtf_program *p, const rotary_config *c)
{
    const mtf_rotary_form *form = c->form;
    const mtf_block block = {
        .program = p, .keys = "backbone.embeddings", .label = "backbone.embeddings"};
    const mtf_block norm = {.program = p, .keys = form->norm_keys, .label = "backbone.embeddings"};
    const int32_t tokens = mtf_program_space(p, "tokens", c->size.positions);
    const mtf_tensor_id ids = mtf_program_input_ids(p, "ids", tokens, c->size.vocabulary, 0);
    mtf_tensor_id types = MTF_NO_TENSOR;
    if (c->types > 0) {
        types = mtf_program_input_ids(p, "token_types", tokens, c->types, 1);
    }
    mtf_program_unit(p, "backbone.embeddings", 0);
    const int32_t word = mtf_part_weight(&block, form->word, c->size.vocabulary, c->size.width);
    const int32_t type =
        c->types > 0 ? mtf_part_weight(&block, form->type, c->types, c->size.width) : -1;
    mtf_tensor_id x =
        mtf_node_embedding(p, "backbone.embeddings sum", ids, types, word, -1, type, 0, -1);
    x = mtf_part_norm(&norm, form->norm, x, MTF_NO_TENSOR, c->eps);
    x = mtf_part_dropout(&block, "dropout", x, c->embedding_dropout);
    mtf_program_end_unit(p);
    return x;
}

/* act(gate) * up */
static mtf_tensor_id build_gate(const mtf_block *block, const rotary_config *c, mtf_tensor_id x)
{
    const mtf_rotary_form *form = c->form;
    const char *const names[2] = {form->gate, form->up};
    const int64_t widths[2] = {c->size.ffn, c->size.ffn};
    char label[MTF_PART_NAME];
    mtf_tensor_id sides[2];
    mtf_part_label(block, "mlp gate", label);
    if (form->gate == NULL) {
        x = mtf_part_linear(block, form->up, x, 2 * c->size.ffn, 0, MTF_ACT_NONE);
        return mtf_node_gated(block->program, label, x, MTF_NO_TENSOR, c->activation, 1);
    }
    mtf_part_linears(block, "mlp gate", x, 2, names, widths, 0, sides);
    return mtf_node_gated(block->program, label, sides[0], sides[1], c->activation, 0);
}

static mtf_tensor_id build_layer(const mtf_block *block, const void *of, int64_t index,
                                 mtf_tensor_id x)
{
    const rotary_config *c = of;
    const mtf_rotary_form *form = c->form;
    const mtf_rotary_attention attention = {.qkv = form->qkv,
                                            .output = form->attention_output,
                                            .qkv_bias = form->attention_bias,
                                            .output_bias = form->attention_bias,
                                            .n_heads = c->size.n_heads,
                                            .rotary_width = c->size.width / c->size.n_heads,
                                            .theta = c->theta,
                                            .reach = -1,
                                            .rate = c->attention_dropout};
    (void)index;
    mtf_tensor_id y = mtf_part_rotary_attention(block, "attention", &attention, x);
    y = mtf_part_dropout(block, "attention dropout", y, c->dropout);
    x = mtf_part_norm(block, form->attention_norm, y, x, c->eps);
    y = build_gate(block, c, x);
    y = mtf_part_dropout(block, "mlp dropout", y, form->drops_product ? c->dropout : 0);
    y = mtf_part_linear(block, form->down, y, c->size.width, form->down_bias, MTF_ACT_NONE);
    y = mtf_part_dropout(block, "output dropout", y, c->dropout);
    return mtf_part_norm(block, form->down_norm, y, x, c->eps);
}

mtf_status mtf_rotary_encoder_build(mtf_program *program, const mtf_rotary_form *form,
                                    const mtf_config *config, mtf_error *err)
{
    rotary_config c;
    MTF_TRY(read_config(&c, form, config, err));
    mtf_tensor_id x = build_embeddings(program, &c);
    x = mtf_build_layers(program, form->layers, c.size.n_layers, build_layer, &c, x);
    mtf_end_layers(program, c.size.n_layers, x);
    return mtf_build_pooling(program, config, x, NULL, err);
}
