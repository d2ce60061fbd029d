/* gpt2.c: GPT-2 decoders from config.json (Radford et al. 2019), pre-norm, causal.
 *
 *   x = dropout(word[id] + position[i])
 *   x = x + dropout(Wo attention([q|k|v] = Wqkv LayerNorm(x)))        per layer
 *   x = x + dropout(W2 act(W1 LayerNorm(x)))
 *   hidden = LayerNorm(x)                                             after the last layer
 *
 * Linear weights are stored (inputs, outputs). scale_attn_weights false leaves out 1/sqrt(head width),
 * scale_attn_by_inverse_layer_idx divides the scores of layer i by i + 1.
 * Parameter keys are the hub's tensor names behind "backbone." (without "transformer.").
 * SPDX-License-Identifier: Apache-2.0 */
#include "families.h"

#include <math.h>

extern const mtf_family mtf_family_gpt2;

typedef struct gpt2_config {
    int64_t width, n_layers, n_heads, ffn, vocabulary, positions;
    double eps, embedding_dropout, attention_dropout, dropout;
    int scaled, scaled_by_layer;
    mtf_activation activation;
} gpt2_config;

static mtf_status read_config(gpt2_config *c, const mtf_config *config, mtf_error *err)
{
    *c = (gpt2_config){.eps = 1e-5,
                       .embedding_dropout = 0.1,
                       .attention_dropout = 0.1,
                       .dropout = 0.1,
                       .scaled = 1,
                       .activation = MTF_ACT_GELU_NEW};
    MTF_TRY(mtf_config_get_int(config, "n_embd", 1, MTF_MOST_WIDE, 1, &c->width, err));
    MTF_TRY(mtf_config_get_int(config, "n_layer", 1, 4096, 1, &c->n_layers, err));
    MTF_TRY(mtf_config_get_int(config, "n_head", 1, 4096, 1, &c->n_heads, err));
    MTF_TRY(mtf_config_get_int(config, "vocab_size", 1, MTF_MOST_WIDE, 1, &c->vocabulary, err));
    MTF_TRY(mtf_config_get_int(config, "n_positions", 1, MTF_MOST_WIDE, 1, &c->positions, err));
    c->ffn = 4 * c->width;
    MTF_TRY(mtf_config_get_int(config, "n_inner", 1, MTF_MOST_WIDE, 0, &c->ffn, err));
    MTF_TRY(mtf_config_get_eps(config, "layer_norm_epsilon", &c->eps, err));
    MTF_TRY(mtf_config_get_real(config, "embd_pdrop", 0, 0.999, &c->embedding_dropout, err));
    MTF_TRY(mtf_config_get_real(config, "attn_pdrop", 0, 0.999, &c->attention_dropout, err));
    MTF_TRY(mtf_config_get_real(config, "resid_pdrop", 0, 0.999, &c->dropout, err));
    MTF_TRY(mtf_config_get_bool(config, "scale_attn_weights", &c->scaled, err));
    MTF_TRY(
        mtf_config_get_bool(config, "scale_attn_by_inverse_layer_idx", &c->scaled_by_layer, err));
    MTF_TRY(mtf_check_heads(c->width, "n_embd", c->n_heads, "n_head", err));
    return mtf_read_activation(config, "activation_function", &c->activation, err);
}

static mtf_tensor_id build_embeddings(mtf_program *p, const gpt2_config *c)
{
    const mtf_block block = {.program = p, .keys = "backbone", .label = "backbone.embeddings"};
    const int32_t tokens = mtf_program_space(p, "tokens", c->positions);
    const mtf_tensor_id ids = mtf_program_input_ids(p, "ids", tokens, c->vocabulary, 0);
    mtf_program_unit(p, "backbone.embeddings", 0);
    const int32_t word = mtf_part_weight(&block, "wte", c->vocabulary, c->width);
    const int32_t position = mtf_part_weight(&block, "wpe", c->positions, c->width);
    mtf_tensor_id x = mtf_node_embedding(p, "backbone.embeddings sum", ids, MTF_NO_TENSOR, word,
                                         position, -1, 0, -1);
    x = mtf_part_dropout(&block, "dropout", x, c->embedding_dropout);
    mtf_program_end_unit(p);
    return x;
}

/* Factor of the scores of a layer. */
static double scale_of(const gpt2_config *c, int64_t layer)
{
    const double scale = c->scaled ? 1 / sqrt((double)(c->width / c->n_heads)) : 1;
    return c->scaled_by_layer ? scale / (double)(layer + 1) : scale;
}

static mtf_tensor_id build_layer(const mtf_block *block, const void *of, int64_t index,
                                 mtf_tensor_id x)
{
    const gpt2_config *c = of;
    const mtf_attention_spec spec = {.n_heads = (int32_t)c->n_heads,
                                     .left = -1,
                                     .right = 0,
                                     .scale = scale_of(c, index),
                                     .rate = c->attention_dropout,
                                     .relative = -1};
    char label[MTF_PART_NAME];
    mtf_tensor_id sum;
    mtf_tensor_id y = mtf_part_norm(block, "ln_1", x, MTF_NO_TENSOR, c->eps);
    y = mtf_part_conv1d(block, "attn.c_attn", y, 3 * c->width, MTF_ACT_NONE);
    y = mtf_node_attention(block->program, mtf_part_label(block, "attention", label), y,
                           MTF_NO_TENSOR, MTF_NO_TENSOR, &spec);
    y = mtf_part_conv1d(block, "attn.c_proj", y, c->width, MTF_ACT_NONE);
    y = mtf_part_dropout(block, "attention dropout", y, c->dropout);
    y = mtf_part_layernorm(block, "ln_2", y, x, 1, c->eps, &sum);
    y = mtf_part_conv1d(block, "mlp.c_fc", y, c->ffn, c->activation);
    y = mtf_part_conv1d(block, "mlp.c_proj", y, c->width, MTF_ACT_NONE);
    y = mtf_part_dropout(block, "output dropout", y, c->dropout);
    return mtf_node_add(block->program, mtf_part_label(block, "sum", label), y, sum);
}

static mtf_status build(mtf_program *program, const mtf_config *config, mtf_error *err)
{
    gpt2_config c;
    const mtf_block top = {.program = program, .keys = "backbone", .label = "backbone.final_norm"};
    MTF_TRY(read_config(&c, config, err));
    mtf_tensor_id x = build_embeddings(program, &c);
    x = mtf_build_layers(program, "backbone.h", c.n_layers, build_layer, &c, x);
    mtf_begin_final_norm(program, x);
    x = mtf_part_norm(&top, "ln_f", x, MTF_NO_TENSOR, c.eps);
    mtf_end_final_norm(program, c.n_layers, x);
    return mtf_build_pooling(program, config, x, NULL, err);
}

const mtf_family mtf_family_gpt2 = {"gpt2", build};
