/* albert.c: ALBERT (Lan et al. 2020): few weights, applied many times.
 *
 *   x = W LayerNorm(word[id] + position[i] + type[t]) + b      tables of embedding_size columns
 *   x = LayerNorm(x + dropout(Wo attention(Wq x, Wk x, Wv x)))      per layer
 *   x = LayerNorm(x + W2 act(W1 x))                                 without dropout
 *
 * The num_hidden_layers steps are cut into num_hidden_groups runs. All steps of a run apply the same
 * inner_group_num layers, one after another, so the backbone has num_hidden_layers * inner_group_num
 * layers, as transformers counts hidden states, and a run is one unit: "backbone.layers[0:12]".
 * SPDX-License-Identifier: Apache-2.0 */
#include "families.h"

#include <stdio.h>

extern const mtf_family mtf_family_albert;

static const mtf_pooler albert_pooler = {.part = "", .activation = MTF_ACT_TANH};

typedef struct albert_config {
    mtf_encoder encoder; /* n_layers: steps */
    int64_t n_groups, n_inner;
} albert_config;

/* The names of BERT, but for those of a layer. */
static mtf_encoder_form albert_form(void)
{
    mtf_encoder_form form = mtf_bert_form;
    form.query = "attention.query";
    form.key = "attention.key";
    form.value = "attention.value";
    form.attention_output = "attention.dense";
    form.attention_norm = "attention.LayerNorm";
    form.inner = "ffn";
    form.outer = "ffn_output";
    form.outer_norm = "full_layer_layer_norm";
    form.dropout = form.attention_dropout = 0;
    form.activation = MTF_ACT_GELU_NEW;
    return form;
}

static mtf_status read_config(albert_config *c, const mtf_encoder_form *form,
                              const mtf_config *config, mtf_error *err)
{
    mtf_encoder *e = &c->encoder;
    MTF_TRY(mtf_encoder_read(e, form, config, err));
    e->embedding_width = 128;
    c->n_groups = c->n_inner = 1;
    MTF_TRY(mtf_config_get_int(config, "embedding_size", 1, MTF_MOST_WIDE, 0, &e->embedding_width,
                               err));
    MTF_TRY(mtf_config_get_int(config, "num_hidden_groups", 1, e->n_layers, 0, &c->n_groups, err));
    MTF_TRY(
        mtf_config_get_int(config, "inner_group_num", 1, 4096 / e->n_layers, 0, &c->n_inner, err));
    e->output_dropout = 0;
    return MTF_OK;
}

/* As transformers rounds it. */
static int64_t group_of(const albert_config *c, int64_t step)
{
    const double per_group = (double)c->encoder.n_layers / (double)c->n_groups;
    return (int64_t)((double)step / per_group);
}

/* Path of the unit of a group: unit (64). */
static void name_unit(char *unit, const albert_config *c, int64_t group)
{
    int64_t first = 0;
    while (group_of(c, first) < group) {
        first++;
    }
    int64_t end = first + 1;
    while (end < c->encoder.n_layers && group_of(c, end) == group) {
        end++;
    }
    const long long from = (long long)(first * c->n_inner), to = (long long)(end * c->n_inner);
    if (to - from == 1) {
        (void)snprintf(unit, 64, "backbone.layers[%lld]", from);
    } else {
        (void)snprintf(unit, 64, "backbone.layers[%lld:%lld]", from, to);
    }
}

static mtf_tensor_id build_layers(mtf_program *p, const albert_config *c, mtf_tensor_id x)
{
    const int64_t n = c->encoder.n_layers * c->n_inner;
    for (int64_t i = 0; i < n; i++) {
        char unit[64], keys[96], label[48];
        const int64_t group = group_of(c, i / c->n_inner);
        name_unit(unit, c, group);
        (void)snprintf(keys, sizeof keys,
                       "backbone.encoder.albert_layer_groups.%lld.albert_layers.%lld",
                       (long long)group, (long long)(i % c->n_inner));
        /* a label for each use: dropout draws anew in each */
        (void)snprintf(label, sizeof label, "backbone.layers[%lld]", (long long)i);
        const mtf_block block = {.program = p, .keys = keys, .label = label};
        x = mtf_build_layer(&block, unit, i, mtf_encoder_layer, &c->encoder, x);
    }
    mtf_end_layers(p, n, x);
    return x;
}

static mtf_status build(mtf_program *program, const mtf_config *config, mtf_error *err)
{
    albert_config c;
    const mtf_encoder_form form = albert_form();
    MTF_TRY(read_config(&c, &form, config, err));
    mtf_tensor_id x = mtf_encoder_embeddings(program, &c.encoder);
    x = mtf_encoder_projection(program, &c.encoder, "encoder.embedding_hidden_mapping_in", x);
    x = build_layers(program, &c, x);
    return mtf_build_pooling(program, config, x, &albert_pooler, err);
}

const mtf_family mtf_family_albert = {"albert", build};
