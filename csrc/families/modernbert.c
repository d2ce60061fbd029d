/* modernbert.c: ModernBERT encoders from config.json (Warner et al. 2024), pre-norm.
 *
 *   x = LayerNorm(word[id])
 *   x = x + dropout(Wo attention(rotate q, rotate k, v)),  [q|k|v] = Wqkv LayerNorm(x)    per layer
 *   x = x + Wo dropout(act(a) * b),                        [a|b] = Wi LayerNorm(x)
 *   hidden = LayerNorm(x)
 *
 * Layer 0 has no norm before its attention: x is normalised there. A layer sees all keys, or those at
 * most local_attention / 2 places away, each kind with rotary positions of its own base. Which layers
 * see all is `global_layers`, of the configuration as Python hands it over.
 * Parameter keys are the hub's tensor names behind "backbone." (without "model.").
 * SPDX-License-Identifier: Apache-2.0 */
#include "../model/rotary_attention.h"
#include "families.h"

extern const mtf_family mtf_family_modernbert;

typedef struct modernbert_config {
    mtf_backbone_sizes size;
    int64_t window;
    double eps, dropout, attention_dropout, ffn_dropout, global_theta, local_theta;
    mtf_activation activation;
    int norm_bias, attention_bias, ffn_bias;
    const int64_t *global_layers;
    size_t n_global;
} modernbert_config;

static mtf_status read_sizes(modernbert_config *c, const mtf_config *config, mtf_error *err)
{
    MTF_TRY(mtf_read_sizes(&c->size, config, err));
    MTF_TRY(mtf_config_get_int(config, "local_attention", 1, MTF_MOST_WIDE, 0, &c->window, err));
    MTF_TRY(mtf_config_get_ints(config, "global_layers", &c->global_layers, &c->n_global, err));
    return mtf_check_rotary_heads(c->size.width, "hidden_size", c->size.n_heads,
                                  "num_attention_heads", err);
}

static mtf_status read_config(modernbert_config *c, const mtf_config *config, mtf_error *err)
{
    *c = (modernbert_config){.eps = 1e-5,
                             .window = 128,
                             .global_theta = 160000,
                             .local_theta = 10000,
                             .activation = MTF_ACT_GELU};
    MTF_TRY(read_sizes(c, config, err));
    MTF_TRY(mtf_config_get_eps(config, "norm_eps", &c->eps, err));
    MTF_TRY(mtf_config_get_real(config, "embedding_dropout", 0, 0.999, &c->dropout, err));
    MTF_TRY(mtf_config_get_real(config, "attention_dropout", 0, 0.999, &c->attention_dropout, err));
    MTF_TRY(mtf_config_get_real(config, "mlp_dropout", 0, 0.999, &c->ffn_dropout, err));
    MTF_TRY(mtf_config_get_real(config, "global_rope_theta", 1, 1e30, &c->global_theta, err));
    MTF_TRY(mtf_config_get_real(config, "local_rope_theta", 1, 1e30, &c->local_theta, err));
    MTF_TRY(mtf_config_get_bool(config, "norm_bias", &c->norm_bias, err));
    MTF_TRY(mtf_config_get_bool(config, "attention_bias", &c->attention_bias, err));
    MTF_TRY(mtf_config_get_bool(config, "mlp_bias", &c->ffn_bias, err));
    return mtf_read_activation(config, "hidden_activation", &c->activation, err);
}

static int sees_all(const modernbert_config *c, int64_t layer)
{
    for (size_t i = 0; i < c->n_global; i++) {
        if (c->global_layers[i] == layer) {
            return 1;
        }
    }
    return 0;
}

static mtf_tensor_id build_embeddings(mtf_program *p, const modernbert_config *c)
{
    const mtf_block block = {
        .program = p, .keys = "backbone.embeddings", .label = "backbone.embeddings"};
    const int32_t tokens = mtf_program_space(p, "tokens", c->size.positions);
    const mtf_tensor_id ids = mtf_program_input_ids(p, "ids", tokens, c->size.vocabulary, 0);
    mtf_program_unit(p, "backbone.embeddings", 0);
    const int32_t word =
        mtf_part_weight(&block, "tok_embeddings", c->size.vocabulary, c->size.width);
    mtf_tensor_id x =
        mtf_node_embedding(p, "backbone.embeddings sum", ids, MTF_NO_TENSOR, word, -1, -1, 0, -1);
    x = mtf_part_layernorm(&block, "norm", x, MTF_NO_TENSOR, c->norm_bias, c->eps, NULL);
    x = mtf_part_dropout(&block, "dropout", x, c->dropout);
    mtf_program_end_unit(p);
    return x;
}

static mtf_tensor_id build_layer(const mtf_block *block, const void *of, int64_t index,
                                 mtf_tensor_id x)
{
    const modernbert_config *c = of;
    const int all = sees_all(c, index);
    const mtf_rotary_attention attention = {.qkv = "attn.Wqkv",
                                            .output = "attn.Wo",
                                            .qkv_bias = c->attention_bias,
                                            .output_bias = c->attention_bias,
                                            .n_heads = c->size.n_heads,
                                            .rotary_width = c->size.width / c->size.n_heads,
                                            .theta = all ? c->global_theta : c->local_theta,
                                            .reach = all ? -1 : c->window / 2,
                                            .rate = c->attention_dropout};
    char label[MTF_PART_NAME];
    mtf_tensor_id sum;
    mtf_tensor_id y = x;
    if (index > 0) {
        y = mtf_part_layernorm(block, "attn_norm", x, MTF_NO_TENSOR, c->norm_bias, c->eps, NULL);
    }
    y = mtf_part_rotary_attention(block, "attention", &attention, y);
    y = mtf_part_dropout(block, "attention dropout", y, c->attention_dropout);
    y = mtf_part_layernorm(block, "mlp_norm", y, x, c->norm_bias, c->eps, &sum);
    y = mtf_part_linear(block, "mlp.Wi", y, 2 * c->size.ffn, c->ffn_bias, MTF_ACT_NONE);
    y = mtf_node_gated(block->program, mtf_part_label(block, "mlp gate", label), y, MTF_NO_TENSOR,
                       c->activation, 0);
    y = mtf_part_dropout(block, "mlp dropout", y, c->ffn_dropout);
    y = mtf_part_linear(block, "mlp.Wo", y, c->size.width, c->ffn_bias, MTF_ACT_NONE);
    return mtf_node_add(block->program, mtf_part_label(block, "sum", label), y, sum);
}

static mtf_status build(mtf_program *program, const mtf_config *config, mtf_error *err)
{
    modernbert_config c;
    const mtf_block top = {.program = program, .keys = "backbone", .label = "backbone"};
    MTF_TRY(read_config(&c, config, err));
    mtf_tensor_id x = build_embeddings(program, &c);
    x = mtf_build_layers(program, "backbone.layers", c.size.n_layers, build_layer, &c, x);
    mtf_begin_final_norm(program, x);
    x = mtf_part_layernorm(&top, "final_norm", x, MTF_NO_TENSOR, c.norm_bias, c.eps, NULL);
    mtf_end_final_norm(program, c.size.n_layers, x);
    return mtf_build_pooling(program, config, x, NULL, err);
}

const mtf_family mtf_family_modernbert = {"modernbert", build};
