/* layers.c: the layers of a head: dropout, optional hidden layers, a linear output.
 *
 *   x = dropout(features);  x = dropout(norm(act(W_i x + b_i))) for each hidden layer;
 *   output = W x + b;  norm: none, or a layer norm where the configuration gives its eps
 *
 * A head of the row space of another input than its features picks its rows from them. With key "tied"
 * W is the table that the backbone looks words up in, and "<head>.weight" another key of it.
 * Each kind of layer may be without a bias: keys bias (of the output), hidden_bias, norm_bias.
 *
 * Weights are uniform with the deviation 0.02 that BERT's heads are drawn with; biases are zero.
 * SPDX-License-Identifier: Apache-2.0 */
#include "heads.h"

#include <stdio.h>
#include <string.h>

#define INIT_DEVIATION 0.02
#define SQRT_3         1.7320508075688772

typedef struct head_config {
    const int64_t *hidden;
    size_t n_hidden;
    double dropout;
    double norm_eps; /* 0: hidden layers have no norm */
    mtf_activation activation;
    int bias, hidden_bias, norm_bias, tied;
    const char *features, *pooling;
} head_config;

static mtf_status read_config(head_config *c, const mtf_config *config, const char *features,
                              mtf_error *err)
{
    const char *act = NULL;
    *c = (head_config){.dropout = 0.1,
                       .activation = MTF_ACT_GELU,
                       .bias = 1,
                       .hidden_bias = 1,
                       .norm_bias = 1,
                       .features = features};
    MTF_TRY(mtf_config_get_ints(config, "hidden", &c->hidden, &c->n_hidden, err));
    MTF_TRY(mtf_config_get_real(config, "dropout", 0, 0.999, &c->dropout, err));
    MTF_TRY(mtf_config_get_real(config, "norm_eps", 0, 1, &c->norm_eps, err));
    MTF_TRY(mtf_config_get_bool(config, "bias", &c->bias, err));
    MTF_TRY(mtf_config_get_bool(config, "hidden_bias", &c->hidden_bias, err));
    MTF_TRY(mtf_config_get_bool(config, "norm_bias", &c->norm_bias, err));
    MTF_TRY(mtf_config_get_bool(config, "tied", &c->tied, err));
    MTF_TRY(mtf_config_get_text(config, "activation", &act, err));
    MTF_TRY(mtf_config_get_text(config, "features", &c->features, err));
    MTF_TRY(mtf_config_get_text(config, "pooling", &c->pooling, err));
    if (act != NULL && strcmp(act, "none") == 0) {
        c->activation = MTF_ACT_NONE;
    } else {
        MTF_TRY(mtf_read_activation(config, "activation", &c->activation, err));
    }
    for (size_t i = 0; i < c->n_hidden; i++) {
        if (c->hidden[i] < 1 || c->hidden[i] > (INT64_C(1) << 20)) {
            return mtf_fail(err, MTF_ERR_CONFIG,
                            "hidden layer %zu of a head must be 1..1048576 wide, found %lld", i,
                            (long long)c->hidden[i]);
        }
    }
    return MTF_OK;
}

static mtf_tensor_id find_positions(const mtf_program *p)
{
    return mtf_program_find_input(p, MTF_HEAD_PICKED ".positions");
}

/* The features that the head reads; its own pooling stands in its unit. */
static mtf_status find_features(mtf_program *p, const char *name, const head_config *c,
                                const char *space, mtf_tensor_id *x, mtf_error *err)
{
    const char *wanted = c->pooling != NULL ? "hidden" : c->features;
    *x = mtf_program_find_output(p, wanted);
    if (*x == MTF_NO_TENSOR) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "head \"%s\" reads \"%s\", which this backbone does not have; use "
                        "\"pooled\", \"embedding\" or \"hidden\"",
                        name, wanted);
    }
    if (c->pooling != NULL) {
        char label[160];
        (void)snprintf(label, sizeof label, "%s pooling", name);
        *x = mtf_build_pool(p, label, c->pooling, *x);
        if (*x == MTF_NO_TENSOR && p->failure.code == MTF_OK) {
            return mtf_fail(err, MTF_ERR_CONFIG,
                            "pooling of head \"%s\" must be \"mean\", \"cls\", \"max\", "
                            "\"mean_sqrt_len_tokens\", \"weightedmean\" or \"lasttoken\", found "
                            "\"%s\"",
                            name, c->pooling);
        }
    }
    const mtf_tensor_id positions = find_positions(p);
    if (*x != MTF_NO_TENSOR && positions != MTF_NO_TENSOR &&
        strcmp(p->spaces[p->tensors[positions].space].name, space) == 0) {
        char label[160];
        (void)snprintf(label, sizeof label, "%s pick", name);
        *x = mtf_node_pick(p, label, *x, positions);
    }
    if (*x != MTF_NO_TENSOR && strcmp(space, MTF_HEAD_PAIRS) == 0) {
        char label[160];
        (void)snprintf(label, sizeof label, "%s pair", name);
        *x = mtf_node_pair_features(p, label, *x, mtf_program_space_of_heads(p, space, 1));
    }
    if (*x != MTF_NO_TENSOR && strcmp(p->spaces[p->tensors[*x].space].name, space) != 0) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "head \"%s\" needs one row for each of the %s, but \"%s\" has one for each "
                        "of the %s",
                        name, space, wanted, p->spaces[p->tensors[*x].space].name);
    }
    return MTF_OK;
}

mtf_status mtf_head_declare_picked(mtf_program *p, const char *name, const mtf_config *config,
                                   mtf_error *err)
{
    (void)name;
    (void)config;
    if (find_positions(p) == MTF_NO_TENSOR) {
        const int32_t picked = mtf_program_space_of_heads(p, MTF_HEAD_PICKED, 0);
        (void)mtf_program_input_ids(p, MTF_HEAD_PICKED ".positions", picked, INT32_MAX, 0);
    }
    if (p->failure.code != MTF_OK) {
        *err = p->failure;
    }
    return p->failure.code;
}

/* The outputs from the table of words: it has a row for each, of the width of x. */
static mtf_status build_tied(mtf_program *p, const char *name, const head_config *c,
                             mtf_tensor_id x, int64_t n_outputs, mtf_tensor_id *y, mtf_error *err)
{
    char key[MTF_PART_NAME];
    const int32_t table = mtf_program_word_table(p);
    if (table < 0 || p->params[table].shape[0] != n_outputs ||
        p->params[table].shape[1] != p->tensors[x].width) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "head \"%s\" is tied to the backbone's table of words, (%lld, %lld); found "
                        "%lld outputs of vectors of %lld; end its hidden layers in that width, or "
                        "give it a decoder of its own (tied=False)",
                        name, table < 0 ? 0LL : (long long)p->params[table].shape[0],
                        table < 0 ? 0LL : (long long)p->params[table].shape[1],
                        (long long)n_outputs, (long long)p->tensors[x].width);
    }
    int32_t bias = -1;
    if (c->bias) {
        (void)snprintf(key, sizeof key, "%s.bias", name);
        bias = mtf_program_param(p, key, 1, &n_outputs, MTF_LAYOUT_OUT_IN, 0, MTF_INIT_ZERO, 0);
    }
    (void)snprintf(key, sizeof key, "%s.weight", name);
    mtf_program_alias(p, table, key);
    *y = mtf_node_linear(p, name, x, table, bias, MTF_ACT_NONE);
    return MTF_OK;
}

mtf_status mtf_head_layers(mtf_program *p, const char *name, const mtf_config *config,
                           const char *features, const char *space, int64_t n_outputs,
                           mtf_error *err)
{
    const mtf_block block = {.program = p,
                             .keys = name,
                             .label = name,
                             .init = MTF_INIT_UNIFORM,
                             .init_bound = INIT_DEVIATION * SQRT_3};
    head_config c;
    char part[64];
    MTF_TRY(read_config(&c, config, features, err));
    mtf_program_unit(p, name, 1);
    mtf_tensor_id x;
    MTF_TRY(find_features(p, name, &c, space, &x, err));
    x = mtf_part_dropout(&block, "dropout", x, c.dropout);
    for (size_t i = 0; i < c.n_hidden; i++) {
        (void)snprintf(part, sizeof part, "hidden.%zu", i);
        x = mtf_part_linear(&block, part, x, c.hidden[i], c.hidden_bias, c.activation);
        if (c.norm_eps > 0) {
            (void)snprintf(part, sizeof part, "hidden.%zu.norm", i);
            x = mtf_part_layernorm(&block, part, x, MTF_NO_TENSOR, c.norm_bias, c.norm_eps, NULL);
        }
        (void)snprintf(part, sizeof part, "dropout.%zu", i);
        x = mtf_part_dropout(&block, part, x, c.dropout);
    }
    mtf_tensor_id y = MTF_NO_TENSOR;
    if (!c.tied) {
        y = mtf_part_linear(&block, "", x, n_outputs, c.bias, MTF_ACT_NONE);
    } else if (x != MTF_NO_TENSOR) {
        MTF_TRY(build_tied(p, name, &c, x, n_outputs, &y, err));
    }
    mtf_program_output(p, name, y);
    mtf_program_end_unit(p);
    return mtf_program_finish(p, err);
}
