/* bert.c: BERT encoders from config.json (Devlin et al. 2019), post-norm.
 *
 *   x = LayerNorm(word[id] + position[i] + type[t])
 *   x = LayerNorm(x + dropout(Wo attention(Wq x, Wk x, Wv x)))      per layer
 *   x = LayerNorm(x + dropout(W2 gelu(W1 x)))
 *
 * Parameter keys are the hub's tensor names behind "backbone." (without "bert.").
 * SPDX-License-Identifier: Apache-2.0 */
#include "families.h"

#include <stdio.h>
#include <string.h>

extern const mtf_family mtf_family_bert;

typedef struct bert_config {
    int64_t width, n_layers, n_heads, ffn, vocabulary, positions, types;
    double eps, dropout, attention_dropout;
    mtf_activation activation;
} bert_config;

/* Keys that change what BERT computes and that this family does not carry out. */
static mtf_status refuse_unsupported(const mtf_config *config, mtf_error *err)
{
    const char *kind = "absolute";
    mtf_status status = mtf_config_get_text(config, "position_embedding_type", &kind, err);
    if (status == MTF_OK && strcmp(kind, "absolute") != 0) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "position_embedding_type \"%s\" changes the computation and is not "
                        "supported; \"absolute\" is",
                        kind);
    }
    static const char *const switches[] = {"is_decoder", "add_cross_attention"};
    for (size_t i = 0; status == MTF_OK && i < 2; i++) {
        int on = 0;
        status = mtf_config_get_bool(config, switches[i], &on, err);
        if (status == MTF_OK && on) {
            return mtf_fail(err, MTF_ERR_CONFIG,
                            "configuration key \"%s\" is true: decoders are not supported; load an "
                            "encoder",
                            switches[i]);
        }
    }
    return status;
}

static mtf_status read_config(bert_config *c, const mtf_config *config, mtf_error *err)
{
    const int64_t most = INT64_C(1) << 24;
    *c = (bert_config){.types = 2, .eps = 1e-12, .dropout = 0.1, .attention_dropout = 0.1};
    MTF_TRY(refuse_unsupported(config, err));
    MTF_TRY(mtf_config_get_int(config, "hidden_size", 1, most, 1, &c->width, err));
    MTF_TRY(mtf_config_get_int(config, "num_hidden_layers", 1, 4096, 1, &c->n_layers, err));
    MTF_TRY(mtf_config_get_int(config, "num_attention_heads", 1, 4096, 1, &c->n_heads, err));
    MTF_TRY(mtf_config_get_int(config, "intermediate_size", 1, most, 1, &c->ffn, err));
    MTF_TRY(mtf_config_get_int(config, "vocab_size", 1, most, 1, &c->vocabulary, err));
    MTF_TRY(mtf_config_get_int(config, "max_position_embeddings", 1, most, 1, &c->positions, err));
    MTF_TRY(mtf_config_get_int(config, "type_vocab_size", 1, 4096, 0, &c->types, err));
    MTF_TRY(mtf_config_get_real(config, "layer_norm_eps", 0, 1, &c->eps, err));
    MTF_TRY(mtf_config_get_real(config, "hidden_dropout_prob", 0, 0.999, &c->dropout, err));
    MTF_TRY(mtf_config_get_real(config, "attention_probs_dropout_prob", 0, 0.999,
                                &c->attention_dropout, err));
    c->activation = MTF_ACT_GELU;
    MTF_TRY(mtf_read_activation(config, "hidden_act", &c->activation, err));
    if (c->width % c->n_heads != 0) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "hidden_size %lld is not a multiple of num_attention_heads %lld; correct "
                        "config.json",
                        (long long)c->width, (long long)c->n_heads);
    }
    return MTF_OK;
}

static mtf_tensor_id build_embeddings(mtf_program *p, const bert_config *c)
{
    const mtf_block block = {
        .program = p, .keys = "backbone.embeddings", .label = "backbone.embeddings"};
    int32_t tokens = mtf_program_space(p, "tokens", c->positions);
    mtf_tensor_id ids = mtf_program_input_ids(p, "ids", tokens, c->vocabulary, 0);
    mtf_tensor_id types = mtf_program_input_ids(p, "token_types", tokens, c->types, 1);
    mtf_program_unit(p, "backbone.embeddings", 0);
    int32_t word = mtf_part_weight(&block, "word_embeddings", c->vocabulary, c->width);
    int32_t position = mtf_part_weight(&block, "position_embeddings", c->positions, c->width);
    int32_t type = mtf_part_weight(&block, "token_type_embeddings", c->types, c->width);
    mtf_tensor_id x =
        mtf_node_embedding(p, "backbone.embeddings sum", ids, types, word, position, type, 0);
    x = mtf_part_norm(&block, "LayerNorm", x, MTF_NO_TENSOR, c->eps);
    x = mtf_part_dropout(&block, "dropout", x, c->dropout);
    mtf_program_end_unit(p);
    return x;
}

static mtf_tensor_id build_layer(mtf_program *p, const bert_config *c, int64_t index,
                                 mtf_tensor_id x)
{
    char unit[64], keys[64];
    (void)snprintf(unit, sizeof unit, "backbone.layers[%lld]", (long long)index);
    (void)snprintf(keys, sizeof keys, "backbone.encoder.layer.%lld", (long long)index);
    const mtf_block block = {.program = p, .keys = keys, .label = unit};
    const mtf_attention_part attention = {.query = "attention.self.query",
                                          .key = "attention.self.key",
                                          .value = "attention.self.value",
                                          .output = "attention.output.dense",
                                          .n_heads = c->n_heads,
                                          .rate = c->attention_dropout};
    mtf_program_unit(p, unit, 0);
    mtf_tensor_id a = mtf_part_attention(&block, "attention", &attention, x);
    a = mtf_part_dropout(&block, "attention dropout", a, c->dropout);
    x = mtf_part_norm(&block, "attention.output.LayerNorm", a, x, c->eps);
    mtf_tensor_id f = mtf_part_dense(&block, "intermediate.dense", x, c->ffn, c->activation);
    f = mtf_part_dense(&block, "output.dense", f, c->width, MTF_ACT_NONE);
    f = mtf_part_dropout(&block, "output dropout", f, c->dropout);
    x = mtf_part_norm(&block, "output.LayerNorm", f, x, c->eps);
    mtf_program_end_unit(p);
    return x;
}

static mtf_status build(mtf_program *program, const mtf_config *config, mtf_error *err)
{
    bert_config c;
    MTF_TRY(read_config(&c, config, err));
    mtf_tensor_id x = build_embeddings(program, &c);
    mtf_program_output(program, "hidden_states.0", x);
    for (int64_t i = 0; i < c.n_layers; i++) {
        x = build_layer(program, &c, i, x);
        char name[48];
        (void)snprintf(name, sizeof name, "hidden_states.%lld", (long long)(i + 1));
        mtf_program_output(program, name, x);
    }
    mtf_program_output(program, "hidden", x);
    return mtf_build_pooling(program, config, x, err);
}

const mtf_family mtf_family_bert = {"bert", build};
