/* bert.c: BERT encoders from config.json (Devlin et al. 2019), post-norm.
 *
 *   x = LayerNorm(word[id] + position[i] + type[t])
 *   x = LayerNorm(x + dropout(Wo attention(Wq x, Wk x, Wv x)))      per layer
 *   x = LayerNorm(x + dropout(W2 gelu(W1 x)))
 *
 * Parameter keys are the hub's tensor names behind "backbone." (without "bert.").
 * SPDX-License-Identifier: Apache-2.0 */
#include "families.h"

#include <math.h>
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
    const char *act = "gelu";
    MTF_TRY(mtf_config_get_text(config, "hidden_act", &act, err));
    if (!mtf_activation_from_name(act, &c->activation) || c->activation == MTF_ACT_NONE) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "hidden_act \"%s\" is not supported; gelu, gelu_new, relu, tanh and silu "
                        "are",
                        act);
    }
    if (c->width % c->n_heads != 0) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "hidden_size %lld is not a multiple of num_attention_heads %lld; correct "
                        "config.json",
                        (long long)c->width, (long long)c->n_heads);
    }
    return MTF_OK;
}

/* "backbone.<stem>.weight" (rows, cols), or (rows) with cols 0; "....bias" (rows). */
static int32_t weight(mtf_program *p, const char *stem, int64_t rows, int64_t cols, int decays)
{
    char key[160];
    (void)snprintf(key, sizeof key, "backbone.%s.weight", stem);
    int64_t shape[2] = {rows, cols};
    return mtf_program_param(p, key, cols > 0 ? 2 : 1, shape, MTF_LAYOUT_OUT_IN, decays,
                             cols > 0 ? MTF_INIT_ZERO : MTF_INIT_ONE, 0);
}

static int32_t bias(mtf_program *p, const char *stem, int64_t rows)
{
    char key[160];
    (void)snprintf(key, sizeof key, "backbone.%s.bias", stem);
    return mtf_program_param(p, key, 1, &rows, MTF_LAYOUT_OUT_IN, 0, MTF_INIT_ZERO, 0);
}

typedef struct layer_names {
    char stem[96], label[128];
    const char *unit;
    int64_t index;
} layer_names;

static const char *stem_of(layer_names *names, const char *part)
{
    (void)snprintf(names->stem, sizeof names->stem, "encoder.layer.%lld.%s",
                   (long long)names->index, part);
    return names->stem;
}

static const char *label_of(layer_names *names, const char *part)
{
    (void)snprintf(names->label, sizeof names->label, "%s %s", names->unit, part);
    return names->label;
}

static mtf_tensor_id dense(mtf_program *p, layer_names *names, const char *part, mtf_tensor_id x,
                           int64_t n, int64_t k, mtf_activation activation)
{
    const char *stem = stem_of(names, part);
    int32_t w = weight(p, stem, n, k, 1);
    return mtf_node_linear(p, label_of(names, part), x, w, bias(p, stem, n), activation);
}

static mtf_tensor_id norm(mtf_program *p, layer_names *names, const char *part, mtf_tensor_id x,
                          mtf_tensor_id residual, const bert_config *c)
{
    const char *stem = stem_of(names, part);
    int32_t w = weight(p, stem, c->width, 0, 0);
    return mtf_node_layernorm(p, label_of(names, part), x, residual, w, bias(p, stem, c->width),
                              c->eps);
}

static mtf_tensor_id build_layer(mtf_program *p, const bert_config *c, int64_t index,
                                 mtf_tensor_id x)
{
    char unit[64];
    (void)snprintf(unit, sizeof unit, "backbone.layers[%lld]", (long long)index);
    mtf_program_unit(p, unit, 0);
    layer_names names = {.unit = unit, .index = index};
    const int64_t width = c->width;
    const double scale = 1.0 / sqrt((double)(width / c->n_heads));
    static const char *const parts[] = {"attention.self.query", "attention.self.key",
                                        "attention.self.value"};
    int32_t weights[3], biases[3];
    mtf_tensor_id qkv[3];
    for (int i = 0; i < 3; i++) {
        weights[i] = weight(p, stem_of(&names, parts[i]), width, width, 1);
        biases[i] = bias(p, names.stem, width);
    }
    mtf_node_linears(p, label_of(&names, "attention.self"), x, 3, weights, biases, qkv);
    mtf_tensor_id a = mtf_node_attention(p, label_of(&names, "attention"), qkv[0], qkv[1], qkv[2],
                                         (int32_t)c->n_heads, 0, scale, c->attention_dropout);
    a = dense(p, &names, "attention.output.dense", a, width, width, MTF_ACT_NONE);
    a = mtf_node_dropout(p, label_of(&names, "attention dropout"), a, c->dropout);
    x = norm(p, &names, "attention.output.LayerNorm", a, x, c);
    mtf_tensor_id f = dense(p, &names, "intermediate.dense", x, c->ffn, width, c->activation);
    f = dense(p, &names, "output.dense", f, width, c->ffn, MTF_ACT_NONE);
    f = mtf_node_dropout(p, label_of(&names, "output dropout"), f, c->dropout);
    x = norm(p, &names, "output.LayerNorm", f, x, c);
    mtf_program_end_unit(p);
    return x;
}

static mtf_tensor_id build_embeddings(mtf_program *p, const bert_config *c)
{
    int32_t tokens = mtf_program_space(p, "tokens", c->positions);
    mtf_tensor_id ids = mtf_program_input_ids(p, "ids", tokens, c->vocabulary, 0);
    mtf_tensor_id types = mtf_program_input_ids(p, "token_types", tokens, c->types, 1);
    mtf_program_unit(p, "backbone.embeddings", 0);
    int32_t word = weight(p, "embeddings.word_embeddings", c->vocabulary, c->width, 1);
    int32_t position = weight(p, "embeddings.position_embeddings", c->positions, c->width, 1);
    int32_t type = weight(p, "embeddings.token_type_embeddings", c->types, c->width, 1);
    int32_t norm_w = weight(p, "embeddings.LayerNorm", c->width, 0, 0);
    int32_t norm_b = bias(p, "embeddings.LayerNorm", c->width);
    mtf_tensor_id x =
        mtf_node_embedding(p, "backbone.embeddings sum", ids, types, word, position, type, 0);
    x = mtf_node_layernorm(p, "backbone.embeddings LayerNorm", x, MTF_NO_TENSOR, norm_w, norm_b,
                           c->eps);
    x = mtf_node_dropout(p, "backbone.embeddings dropout", x, c->dropout);
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
