/* detr.c: DETR, a transformer over the grid of a residual network (Carion et al. 2020), from config.json.
 *
 *   C = residual network(pixels)       x = W C + b                                input_projection
 *   x = norm(x + attention(x + P, x + P, x));  x = norm(x + ffn(x))               encoder.layers
 *   t = 0; t = norm(t + attention(t + Q, t + Q, t)); t = norm(t + attention(t + Q, x + P, x))
 *   t = norm(t + ffn(t))                                                          decoder.layers
 *
 * P: sines and cosines of where a row stands in its grid, Q: the table "queries", one row for each
 * object that may be found. They are added to queries and keys in every layer, never to values. What
 * each layer of the decoder gives goes through one shared norm, "decoder.norm", before it is read:
 * outputs "queries.<i>", the last one "queries". The layer above reads it without that norm, as the
 * published code has it (transformers with auxiliary_loss normalises it). Dropout stands where the
 * published code has it; transformers drops values of the projection besides.
 *
 * An image is alone at its own size: nothing is padded and nothing masked. Only the residual network
 * is the backbone; its units and keys, "backbone....", are beside those of modules of their own. Keys
 * are the hub's tensor names without "model.", the residual network's those of transformers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../model/residual_net.h"
#include "families.h"

#include <math.h>
#include <stdio.h>

extern const mtf_family mtf_family_detr;

/* torch.nn.LayerNorm's, which configurations do not state. */
#define NORM_EPS   1e-5
#define WAVELENGTH 10000.0

typedef struct stack {
    int64_t n_layers, n_heads, ffn;
} stack;

typedef struct detr_config {
    mtf_residual_net net;
    int64_t width, n_queries;
    stack encoder, decoder;
    double dropout, attention_dropout, activation_dropout;
    mtf_activation activation;
} detr_config;

static mtf_status read_stack(stack *s, const mtf_config *config, const char *name, int64_t width,
                             mtf_error *err)
{
    char key[64];
    (void)snprintf(key, sizeof key, "%s_layers", name);
    MTF_TRY(mtf_config_get_int(config, key, 1, 4096, 1, &s->n_layers, err));
    (void)snprintf(key, sizeof key, "%s_ffn_dim", name);
    MTF_TRY(mtf_config_get_int(config, key, 1, MTF_MOST_WIDE, 1, &s->ffn, err));
    (void)snprintf(key, sizeof key, "%s_attention_heads", name);
    MTF_TRY(mtf_config_get_int(config, key, 1, 4096, 1, &s->n_heads, err));
    return mtf_check_heads(width, "d_model", s->n_heads, key, err);
}

static mtf_status read_config(detr_config *c, const mtf_config *config, mtf_error *err)
{
    *c = (detr_config){.dropout = 0.1, .activation = MTF_ACT_RELU};
    MTF_TRY(mtf_residual_read(&c->net, config, err));
    MTF_TRY(mtf_config_get_int(config, "d_model", 4, MTF_MOST_WIDE, 1, &c->width, err));
    MTF_TRY(mtf_config_get_int(config, "num_queries", 1, 1 << 20, 1, &c->n_queries, err));
    if (c->width % 4 != 0) {
        return mtf_fail(
            err, MTF_ERR_CONFIG,
            "expected d_model as a multiple of 4, a sine and a cosine of each side of a "
            "grid; found %lld; correct config.json",
            (long long)c->width);
    }
    MTF_TRY(read_stack(&c->encoder, config, "encoder", c->width, err));
    MTF_TRY(read_stack(&c->decoder, config, "decoder", c->width, err));
    MTF_TRY(mtf_config_get_real(config, "dropout", 0, 0.999, &c->dropout, err));
    MTF_TRY(mtf_config_get_real(config, "attention_dropout", 0, 0.999, &c->attention_dropout, err));
    MTF_TRY(
        mtf_config_get_real(config, "activation_dropout", 0, 0.999, &c->activation_dropout, err));
    return mtf_read_activation(config, "activation_function", &c->activation, err);
}

/* What the layers of a model read beside their input. */
typedef struct positions {
    mtf_tensor_id grid, queries, zeros;
    int32_t space; /* of the grid */
} positions;

/* One attention: parts "<name>.q_proj" and so on over x with `at` added, keys and values over `of` with
 * `of_at` added to the keys; of MTF_NO_TENSOR: x itself. Then dropout and norm "<name>_layer_norm". */
static mtf_tensor_id attend(const mtf_block *block, const detr_config *c, const stack *s,
                            const char *name, mtf_tensor_id x, mtf_tensor_id at, mtf_tensor_id of,
                            mtf_tensor_id of_at)
{
    char q_name[64], k_name[64], v_name[64], out_name[64], norm_name[64], label[MTF_PART_NAME];
    (void)snprintf(q_name, sizeof q_name, "%s.q_proj", name);
    (void)snprintf(k_name, sizeof k_name, "%s.k_proj", name);
    (void)snprintf(v_name, sizeof v_name, "%s.v_proj", name);
    (void)snprintf(out_name, sizeof out_name, "%s.out_proj", name);
    (void)snprintf(norm_name, sizeof norm_name, "%s_layer_norm", name);
    mtf_program *p = block->program;
    const mtf_attention_spec spec = {.n_heads = (int32_t)s->n_heads,
                                     .left = -1,
                                     .right = -1,
                                     .scale = 1.0 / sqrt((double)(c->width / s->n_heads)),
                                     .rate = c->attention_dropout,
                                     .relative = -1};
    const char *const both[2] = {q_name, k_name};
    const int64_t widths[2] = {c->width, c->width};
    mtf_tensor_id qk[2];
    (void)snprintf(label, sizeof label, "%s %s places", block->label, name);
    const mtf_tensor_id placed = mtf_node_add(p, label, x, at);
    if (of == MTF_NO_TENSOR) {
        mtf_part_linears(block, name, placed, 2, both, widths, 1, qk);
    } else {
        qk[0] = mtf_part_dense(block, q_name, placed, c->width, MTF_ACT_NONE);
        (void)snprintf(label, sizeof label, "%s %s places of keys", block->label, name);
        qk[1] = mtf_part_dense(block, k_name, mtf_node_add(p, label, of, of_at), c->width,
                               MTF_ACT_NONE);
    }
    const mtf_tensor_id v =
        mtf_part_dense(block, v_name, of == MTF_NO_TENSOR ? x : of, c->width, MTF_ACT_NONE);
    mtf_tensor_id a =
        mtf_node_attention(p, mtf_part_label(block, name, label), qk[0], qk[1], v, &spec);
    a = mtf_part_dense(block, out_name, a, c->width, MTF_ACT_NONE);
    (void)snprintf(label, sizeof label, "%s dropout", name);
    a = mtf_part_dropout(block, label, a, c->dropout);
    return mtf_part_norm(block, norm_name, a, x, NORM_EPS);
}

static mtf_tensor_id feed_forward(const mtf_block *block, const detr_config *c, const stack *s,
                                  mtf_tensor_id x)
{
    mtf_tensor_id f = mtf_part_dense(block, "fc1", x, s->ffn, c->activation);
    f = mtf_part_dropout(block, "activation dropout", f, c->activation_dropout);
    f = mtf_part_dense(block, "fc2", f, c->width, MTF_ACT_NONE);
    f = mtf_part_dropout(block, "output dropout", f, c->dropout);
    return mtf_part_norm(block, "final_layer_norm", f, x, NORM_EPS);
}

/* A name with a number in it. */
static const char *numbered(char name[64], const char *form, int64_t number)
{
    (void)snprintf(name, 64, form, (long long)number);
    return name;
}

/* The parameters of a 1x1 convolution, which is a linear layer of every row. */
static mtf_tensor_id project(mtf_program *p, const detr_config *c, mtf_tensor_id x)
{
    const int64_t inputs = x != MTF_NO_TENSOR ? p->tensors[x].width : 1;
    const int64_t shape[4] = {c->width, inputs, 1, 1};
    mtf_program_unit(p, "input_projection", 0);
    const int32_t weight = mtf_program_param(p, "input_projection.weight", 4, shape,
                                             MTF_LAYOUT_OUT_IN, 1, MTF_INIT_ZERO, 0);
    const int32_t bias = mtf_program_param(p, "input_projection.bias", 1, shape, MTF_LAYOUT_OUT_IN,
                                           0, MTF_INIT_ZERO, 0);
    x = mtf_node_linear(p, "input_projection", x, weight, bias, MTF_ACT_NONE);
    mtf_program_end_unit(p);
    return x;
}

/* What encoder layer i reads is output "encoder.<i>", what the last one gives "hidden". */
static mtf_tensor_id build_encoder(mtf_program *p, const detr_config *c, const positions *at,
                                   mtf_tensor_id x)
{
    for (int64_t i = 0; i < c->encoder.n_layers; i++) {
        char unit[64], keys[64], name[64];
        const mtf_block block = {.program = p,
                                 .keys = numbered(keys, "encoder.layers.%lld", i),
                                 .label = numbered(unit, "encoder.layers[%lld]", i)};
        mtf_program_output(p, numbered(name, "encoder.%lld", i), x);
        mtf_program_unit(p, unit, 0);
        x = attend(&block, c, &c->encoder, "self_attn", x, at->grid, MTF_NO_TENSOR, MTF_NO_TENSOR);
        x = feed_forward(&block, c, &c->encoder, x);
        mtf_program_end_unit(p);
    }
    mtf_program_output(p, "hidden", x);
    return x;
}

/* The rows that the decoder begins with: the table, and zeros. */
static void build_queries(mtf_program *p, const detr_config *c, positions *at)
{
    const mtf_block block = {.program = p, .keys = "query_position_embeddings", .label = "queries"};
    const int32_t space = mtf_program_space_fixed(p, "queries", c->n_queries);
    mtf_program_unit(p, "queries", 0);
    const int32_t table = mtf_part_weight(&block, "", c->n_queries, c->width);
    at->queries = mtf_node_repeat_rows(p, "queries", table, space, c->width);
    mtf_program_end_unit(p);
    at->zeros = mtf_node_repeat_rows(p, "queries zero", -1, space, c->width);
}

/* What decoder layer i > 0 reads is output "decoder.<i>", what the last one gives the last of these. */
static void build_decoder(mtf_program *p, const detr_config *c, const positions *at,
                          mtf_tensor_id x, mtf_tensor_id *states)
{
    mtf_tensor_id t = at->zeros;
    for (int64_t i = 0; i < c->decoder.n_layers; i++) {
        char unit[64], keys[64], name[64];
        const mtf_block block = {.program = p,
                                 .keys = numbered(keys, "decoder.layers.%lld", i),
                                 .label = numbered(unit, "decoder.layers[%lld]", i)};
        mtf_program_unit(p, unit, 0);
        t = attend(&block, c, &c->decoder, "self_attn", t, at->queries, MTF_NO_TENSOR,
                   MTF_NO_TENSOR);
        t = attend(&block, c, &c->decoder, "encoder_attn", t, at->queries, x, at->grid);
        t = feed_forward(&block, c, &c->decoder, t);
        mtf_program_end_unit(p);
        mtf_program_output(p, numbered(name, "decoder.%lld", i + 1), t);
        states[i] = t;
    }
}

/* The shared norm over each of the states. */
static void build_norms(mtf_program *p, const detr_config *c, const mtf_tensor_id *states)
{
    const mtf_block block = {.program = p, .keys = "decoder", .label = "decoder.norm"};
    mtf_program_unit(p, "decoder.norm", 0);
    for (int64_t i = 0; i < c->decoder.n_layers; i++) {
        char name[64];
        const mtf_tensor_id read =
            mtf_part_norm(&block, "layernorm", states[i], MTF_NO_TENSOR, NORM_EPS);
        mtf_program_output(p, numbered(name, "queries.%lld", i), read);
        if (i == c->decoder.n_layers - 1) {
            mtf_program_output(p, "queries", read);
        }
    }
    mtf_program_end_unit(p);
}

static mtf_status build(mtf_program *p, const mtf_config *config, mtf_error *err)
{
    detr_config c;
    mtf_tensor_id states[4096];
    char name[64];
    MTF_TRY(read_config(&c, config, err));
    mtf_tensor_id x = mtf_residual_build(p, &c.net, "backbone.conv_encoder.model");
    mtf_program_output(p, numbered(name, "hidden_states.%lld", c.net.n_stages), x);
    positions at = {.grid = MTF_NO_TENSOR};
    if (x != MTF_NO_TENSOR) {
        at.space = p->tensors[x].space;
    }
    x = project(p, &c, x);
    at.grid = mtf_node_sine_positions(p, "positions", at.space, c.width, WAVELENGTH);
    x = build_encoder(p, &c, &at, x);
    build_queries(p, &c, &at);
    build_decoder(p, &c, &at, x, states);
    build_norms(p, &c, states);
    return mtf_build_pooling(p, config, x, NULL, err);
}

const mtf_family mtf_family_detr = {"detr", build};
