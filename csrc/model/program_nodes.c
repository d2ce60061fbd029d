/* program_nodes.c: adding one operation to a program.
 *
 * Every call goes through add_node(): it copies tensor facts into the node's shape, lets the
 * operation check them and describe its outputs, and makes the output tensors.
 * SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

#include "../base/alloc.h"
#include "../base/random.h"
#include "../base/status.h"

#include <string.h>

static mtf_tensor_id add_tensor(mtf_program *p, const mtf_slot *slot, int32_t node)
{
    if (!MTF_GROW(p, tensors)) {
        return MTF_NO_TENSOR;
    }
    p->tensors[p->n_tensors] = (mtf_tensor){
        .role = MTF_ROLE_ACTIVATION, .space = slot->space, .width = slot->width, .node = node};
    return p->n_tensors++;
}

/* Completes `node` (op, in, weight, shape.attrs are set) and returns its first output; `instead`: a
 * tensor of the same rows that this is; MTF_NO_TENSOR: a new one. */
static mtf_tensor_id add_node_for(mtf_program *p, const char *label, mtf_node *node,
                                  mtf_tensor_id instead)
{
    if (!MTF_GROW(p, nodes)) {
        return MTF_NO_TENSOR;
    }
    node->label = mtf_alloc_text(label);
    if (node->label == NULL) {
        (void)mtf_fail_memory(&p->failure, strlen(label) + 1);
        return MTF_NO_TENSOR;
    }
    node->unit = node->host = p->current_unit;
    node->shape.label = node->label;
    node->shape.key = mtf_random_text_key(label);
    for (int i = 0; i < MTF_MAX_IN; i++) {
        if (node->in[i] != MTF_NO_TENSOR) {
            const mtf_tensor *t = &p->tensors[node->in[i]];
            node->shape.in[i] = (mtf_slot){t->space, t->width, t->is_ids};
        }
    }
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        if (node->weight[i] >= 0) {
            const mtf_param_def *def = &p->params[node->weight[i]];
            node->shape.weight_rows[i] = def->shape[0];
            node->shape.weight_cols[i] = def->size / def->shape[0];
        }
    }
    if (node->op->check(&node->shape, &p->failure) != MTF_OK) {
        mtf_free(node->label);
        return MTF_NO_TENSOR;
    }
    for (int i = 0; i < MTF_MAX_OUT; i++) {
        node->out[i] = node->shape.out[i].width == 0 ? MTF_NO_TENSOR
                       : i == 0 && instead != MTF_NO_TENSOR
                           ? instead
                           : add_tensor(p, &node->shape.out[i], p->n_nodes);
    }
    for (int i = 0; i < MTF_MAX_AUX; i++) {
        node->aux[i] = node->shape.aux[i].width > 0 ? add_tensor(p, &node->shape.aux[i], p->n_nodes)
                                                    : MTF_NO_TENSOR;
    }
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        if (node->weight[i] >= 0 && (node->op->factors >> i & 1u)) {
            p->params[node->weight[i]].in_products = 1;
        }
    }
    p->nodes[p->n_nodes++] = *node;
    return p->failure.code == MTF_OK ? node->out[0] : MTF_NO_TENSOR;
}

static mtf_tensor_id add_node(mtf_program *p, const char *label, mtf_node *node)
{
    return add_node_for(p, label, node, MTF_NO_TENSOR);
}

/* A node of `op` reading a and b, without weights yet. */
static mtf_node blank(const mtf_op *op, mtf_tensor_id a, mtf_tensor_id b)
{
    mtf_node node = {.op = op};
    for (int i = 0; i < MTF_MAX_IN; i++) {
        node.in[i] = MTF_NO_TENSOR;
    }
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        node.weight[i] = -1;
    }
    node.in[0] = a;
    node.in[1] = b;
    return node;
}

mtf_tensor_id mtf_node_embedding(mtf_program *p, const char *label, mtf_tensor_id ids,
                                 mtf_tensor_id types, int32_t word, int32_t position, int32_t type,
                                 int32_t position_offset, int32_t position_pad)
{
    mtf_node node = blank(&mtf_op_embedding, ids, types);
    node.weight[0] = word;
    node.weight[1] = position;
    node.weight[2] = type;
    node.shape.attrs.skips_pad = position_pad >= 0;
    node.shape.attrs.position_offset = position_pad >= 0 ? position_pad + 1 : position_offset;
    return add_node(p, label, &node);
}

void mtf_node_linears(mtf_program *p, const char *label, mtf_tensor_id x, int n,
                      const int32_t *weights, const int32_t *biases, mtf_activation activation,
                      mtf_tensor_id *out)
{
    mtf_node node = blank(&mtf_op_linear, x, MTF_NO_TENSOR);
    for (int i = 0; i < n; i++) {
        node.weight[2 * i] = weights[i];
        node.weight[2 * i + 1] = biases[i];
    }
    node.shape.attrs.activation = activation;
    node.shape.attrs.layout = weights[0] >= 0 ? p->params[weights[0]].layout : MTF_LAYOUT_OUT_IN;
    const mtf_tensor_id first = add_node(p, label, &node);
    for (int i = 0; i < n; i++) {
        out[i] = first != MTF_NO_TENSOR ? node.out[i] : MTF_NO_TENSOR;
    }
}

mtf_tensor_id mtf_node_linear(mtf_program *p, const char *label, mtf_tensor_id x, int32_t weight,
                              int32_t bias, mtf_activation activation)
{
    mtf_tensor_id out;
    mtf_node_linears(p, label, x, 1, &weight, &bias, activation, &out);
    return out;
}

/* A norm: its first output, and in `sum` (or NULL) what it has normalised. */
static mtf_tensor_id add_norm(mtf_program *p, const char *label, mtf_node *node, mtf_tensor_id *sum)
{
    const mtf_tensor_id y = add_node(p, label, node);
    if (sum != NULL) {
        *sum = y == MTF_NO_TENSOR ? y : node->in[1] != MTF_NO_TENSOR ? node->out[1] : node->in[0];
    }
    return y;
}

mtf_tensor_id mtf_node_layernorm(mtf_program *p, const char *label, mtf_tensor_id x,
                                 mtf_tensor_id residual, int32_t weight, int32_t bias, double eps,
                                 mtf_tensor_id *sum)
{
    mtf_node node = blank(&mtf_op_layernorm, x, residual);
    node.weight[0] = weight;
    node.weight[1] = bias;
    node.shape.attrs.eps = (mtf_real)eps;
    return add_norm(p, label, &node, sum);
}

mtf_tensor_id mtf_node_rmsnorm(mtf_program *p, const char *label, mtf_tensor_id x,
                               mtf_tensor_id residual, int32_t weight, double eps,
                               double weight_offset, mtf_tensor_id *sum)
{
    mtf_node node = blank(&mtf_op_rmsnorm, x, residual);
    node.weight[0] = weight;
    node.shape.attrs.eps = (mtf_real)eps;
    node.shape.attrs.weight_offset = (mtf_real)weight_offset;
    return add_norm(p, label, &node, sum);
}

mtf_tensor_id mtf_node_transitions(mtf_program *p, const char *label, mtf_tensor_id x,
                                   int32_t transitions, int32_t start, int32_t end)
{
    mtf_node node = blank(&mtf_op_transitions, x, MTF_NO_TENSOR);
    node.weight[0] = transitions;
    node.weight[1] = start;
    node.weight[2] = end;
    return add_node(p, label, &node);
}

mtf_tensor_id mtf_node_add(mtf_program *p, const char *label, mtf_tensor_id a, mtf_tensor_id b)
{
    mtf_node node = blank(&mtf_op_add, a, b);
    return add_node(p, label, &node);
}

mtf_tensor_id mtf_node_gated(mtf_program *p, const char *label, mtf_tensor_id a, mtf_tensor_id b,
                             mtf_activation activation, int gate_last)
{
    mtf_node node = blank(&mtf_op_gated, a, b);
    node.shape.attrs.activation = activation;
    node.shape.attrs.gate_last = gate_last;
    return add_node(p, label, &node);
}

mtf_tensor_id mtf_node_rotary(mtf_program *p, const char *label, mtf_tensor_id x, int32_t n_rotated,
                              int64_t head_width, int64_t rotary_width, double theta)
{
    mtf_node node = blank(&mtf_op_rotary, x, MTF_NO_TENSOR);
    node.shape.attrs.n_rotated = n_rotated;
    node.shape.attrs.head_width = head_width;
    node.shape.attrs.rotary_width = rotary_width;
    node.shape.attrs.theta = theta;
    return add_node(p, label, &node);
}

mtf_tensor_id mtf_node_attention(mtf_program *p, const char *label, mtf_tensor_id q,
                                 mtf_tensor_id k, mtf_tensor_id v, const mtf_attention_spec *spec)
{
    mtf_node node = blank(&mtf_op_attention, q, k);
    node.in[2] = v;
    node.weight[0] = spec->relative;
    node.shape.attrs.n_heads = spec->n_heads;
    node.shape.attrs.n_kv_heads = spec->n_kv_heads;
    node.shape.attrs.head_width = spec->head_width;
    node.shape.attrs.left = spec->left;
    node.shape.attrs.right = spec->right;
    node.shape.attrs.scale = (mtf_real)spec->scale;
    node.shape.attrs.rate = (mtf_real)spec->rate;
    node.shape.attrs.max_distance = spec->max_distance;
    return add_node(p, label, &node);
}

mtf_tensor_id mtf_node_distance_rows(mtf_program *p, const char *label, mtf_tensor_id ids,
                                     int32_t table, int64_t span, int64_t max_distance,
                                     int looks_back)
{
    mtf_node node = blank(&mtf_op_distance_rows, ids, MTF_NO_TENSOR);
    node.weight[0] = table;
    node.shape.attrs.distance_span = span;
    node.shape.attrs.max_distance = max_distance;
    node.shape.attrs.looks_back = looks_back;
    return add_node(p, label, &node);
}

mtf_tensor_id mtf_node_sine_positions(mtf_program *p, const char *label, int32_t grid,
                                      int64_t width, double theta)
{
    mtf_node node = blank(&mtf_op_sine_positions, MTF_NO_TENSOR, MTF_NO_TENSOR);
    if (p->failure.code == MTF_OK && !p->spaces[grid].is_grid) {
        mtf_program_fail(p, MTF_ERR_CONFIG, "places of rows are those of a grid");
    }
    node.shape.attrs.row_space = grid;
    node.shape.attrs.row_width = width;
    node.shape.attrs.theta = theta;
    return add_node(p, label, &node);
}

mtf_tensor_id mtf_node_repeat_rows(mtf_program *p, const char *label, int32_t table, int32_t space,
                                   int64_t width)
{
    mtf_node node = blank(&mtf_op_repeat_rows, MTF_NO_TENSOR, MTF_NO_TENSOR);
    if (p->failure.code == MTF_OK &&
        (p->spaces[space].fixed < 1 ||
         (table >= 0 && p->params[table].shape[0] != p->spaces[space].fixed))) {
        mtf_program_fail(p, MTF_ERR_CONFIG,
                         "rows are repeated in a row space with as many for every sequence as the "
                         "table has");
    }
    node.weight[0] = table;
    node.shape.attrs.row_space = space;
    node.shape.attrs.row_width = width;
    return add_node(p, label, &node);
}

mtf_tensor_id mtf_node_disentangled(mtf_program *p, const char *label, const mtf_tensor_id *in,
                                    int32_t n_heads, double scale, double rate)
{
    mtf_node node = blank(&mtf_op_disentangled, in[0], in[1]);
    for (int i = 2; i < 7; i++) {
        node.in[i] = in[i];
    }
    node.shape.attrs.n_heads = n_heads;
    node.shape.attrs.scale = (mtf_real)scale;
    node.shape.attrs.rate = (mtf_real)rate;
    return add_node(p, label, &node);
}

/* What the convolution is in training: without its norm, and the norm by the batch. */
static mtf_tensor_id add_trained_convolution(mtf_program *p, const char *label,
                                             const mtf_node *whole,
                                             const mtf_convolution_spec *spec)
{
    mtf_node plain = *whole;
    plain.when = MTF_WHILE_MOVING;
    plain.statistics = spec->mean;
    plain.in[1] = MTF_NO_TENSOR;
    plain.shape.attrs.activation = MTF_ACT_NONE;
    for (int i = 2; i < MTF_MAX_WEIGHTS; i++) {
        plain.weight[i] = -1;
    }
    const mtf_tensor_id z = add_node(p, label, &plain);
    if (z == MTF_NO_TENSOR) {
        return z;
    }
    mtf_node norm = blank(&mtf_op_batch_norm, z, whole->in[1]);
    const int32_t weights[] = {spec->norm_weight, spec->norm_bias, spec->mean, spec->variance,
                               spec->count};
    norm.when = MTF_WHILE_MOVING;
    norm.statistics = spec->mean;
    memcpy(norm.weight, weights, sizeof weights);
    norm.shape.attrs.eps = (mtf_real)spec->eps;
    norm.shape.attrs.activation = spec->activation;
    return add_node(p, label, &norm);
}

static mtf_tensor_id convolution(mtf_program *p, const mtf_op *op, const char *label,
                                 mtf_tensor_id x, mtf_tensor_id residual,
                                 const mtf_convolution_spec *spec)
{
    mtf_tensor_id trained = MTF_NO_TENSOR;
    mtf_node node = blank(op, x, residual);
    const int32_t weights[] = {spec->weight,    spec->bias, spec->norm_weight,
                               spec->norm_bias, spec->mean, spec->variance};
    memcpy(node.weight, weights, sizeof weights);
    node.shape.attrs.kernel = spec->kernel;
    node.shape.attrs.stride = spec->stride;
    node.shape.attrs.padding = spec->padding;
    node.shape.attrs.grid_space = spec->grid;
    node.shape.attrs.eps = (mtf_real)spec->eps;
    node.shape.attrs.activation = spec->activation;
    node.shape.attrs.same = spec->same;
    if (spec->by_batch) {
        trained = add_trained_convolution(p, label, &node, spec);
        if (trained == MTF_NO_TENSOR) {
            return trained;
        }
        node.when = MTF_WHILE_STANDING;
        node.statistics = spec->mean;
    }
    return add_node_for(p, label, &node, trained);
}

mtf_tensor_id mtf_node_convolution(mtf_program *p, const char *label, mtf_tensor_id x,
                                   mtf_tensor_id residual, const mtf_convolution_spec *spec)
{
    return convolution(p, &mtf_op_convolution, label, x, residual, spec);
}

mtf_tensor_id mtf_node_depthwise(mtf_program *p, const char *label, mtf_tensor_id x,
                                 const mtf_convolution_spec *spec)
{
    return convolution(p, &mtf_op_depthwise, label, x, MTF_NO_TENSOR, spec);
}

mtf_tensor_id mtf_node_grid_max_pool(mtf_program *p, const char *label, mtf_tensor_id x,
                                     int64_t kernel, int64_t stride, int64_t padding, int32_t grid)
{
    mtf_node node = blank(&mtf_op_grid_max_pool, x, MTF_NO_TENSOR);
    node.shape.attrs.kernel = kernel;
    node.shape.attrs.stride = stride;
    node.shape.attrs.padding = padding;
    node.shape.attrs.grid_space = grid;
    return add_node(p, label, &node);
}

mtf_tensor_id mtf_node_adaptive_mean(mtf_program *p, const char *label, mtf_tensor_id x,
                                     int64_t bins)
{
    mtf_node node = blank(&mtf_op_adaptive_mean, x, MTF_NO_TENSOR);
    node.shape.attrs.bins = bins;
    return add_node(p, label, &node);
}

mtf_tensor_id mtf_node_dropout(mtf_program *p, const char *label, mtf_tensor_id x, double rate)
{
    if (rate <= 0) {
        return x;
    }
    mtf_node node = blank(&mtf_op_dropout, x, MTF_NO_TENSOR);
    node.shape.attrs.rate = (mtf_real)rate;
    return add_node(p, label, &node);
}

mtf_tensor_id mtf_node_low_rank(mtf_program *p, const char *label, mtf_tensor_id y, mtf_tensor_id x,
                                int32_t down, int32_t up, double scale, double rate)
{
    mtf_node node = blank(&mtf_op_low_rank, y, x);
    node.weight[0] = down;
    node.weight[1] = up;
    node.shape.attrs.scale = (mtf_real)scale;
    node.shape.attrs.rate = (mtf_real)rate;
    return add_node(p, label, &node);
}

mtf_tensor_id mtf_node_scale_columns(mtf_program *p, const char *label, mtf_tensor_id x,
                                     int32_t factors)
{
    mtf_node node = blank(&mtf_op_scale_columns, x, MTF_NO_TENSOR);
    node.weight[0] = factors;
    return add_node(p, label, &node);
}

mtf_tensor_id mtf_node_image_tokens(mtf_program *p, const char *label, mtf_tensor_id x,
                                    const mtf_image_tokens_spec *spec)
{
    mtf_node node = blank(&mtf_op_image_tokens, x, MTF_NO_TENSOR);
    node.weight[0] = spec->cls;
    node.weight[1] = spec->distillation;
    node.weight[2] = spec->registers;
    node.weight[3] = spec->positions;
    node.shape.attrs.token_space = spec->tokens;
    node.shape.attrs.grid_height = spec->grid_height;
    node.shape.attrs.grid_width = spec->grid_width;
    node.shape.attrs.grid_lead = spec->grid_lead;
    node.shape.attrs.antialias = spec->antialias;
    return add_node(p, label, &node);
}

mtf_tensor_id mtf_node_activation(mtf_program *p, const char *label, mtf_tensor_id x,
                                  mtf_activation activation)
{
    mtf_node node = blank(&mtf_op_activation, x, MTF_NO_TENSOR);
    node.shape.attrs.activation = activation;
    return add_node(p, label, &node);
}

mtf_tensor_id mtf_node_pool(mtf_program *p, const char *label, mtf_pooling pooling, mtf_tensor_id x,
                            mtf_tensor_id skip)
{
    const mtf_op *op = pooling == MTF_POOL_MAX                                 ? &mtf_op_max_pool
                       : pooling == MTF_POOL_FIRST || pooling == MTF_POOL_LAST ? &mtf_op_row_pool
                                                                               : &mtf_op_mean_pool;
    mtf_node node = blank(op, x, skip);
    node.shape.attrs.pooling = pooling;
    node.shape.attrs.skip_rows = pooling == MTF_POOL_FIRST ? 0 : p->lead_rows;
    return add_node(p, label, &node);
}

mtf_tensor_id mtf_node_concat(mtf_program *p, const char *label, int n, const mtf_tensor_id *parts)
{
    mtf_tensor_id joined = parts[0];
    for (int next = 1; next < n && joined != MTF_NO_TENSOR;) {
        mtf_node node = blank(&mtf_op_concat, joined, MTF_NO_TENSOR);
        for (int k = 1; k < MTF_MAX_IN && next < n; k++) {
            node.in[k] = parts[next++];
        }
        joined = add_node(p, label, &node);
    }
    return joined;
}

mtf_tensor_id mtf_node_layer_mix(mtf_program *p, const char *label, int64_t n,
                                 const mtf_tensor_id *layers, int32_t weight, int32_t gamma)
{
    mtf_tensor_id mixed = MTF_NO_TENSOR;
    for (int64_t first = 0; first < n; first += MTF_MAX_IN - 1) {
        mtf_node node = blank(&mtf_op_layer_mix, MTF_NO_TENSOR, MTF_NO_TENSOR);
        for (int i = 0; i < MTF_MAX_IN - 1 && first + i < n; i++) {
            node.in[i] = layers[first + i];
        }
        node.in[MTF_MAX_IN - 1] = mixed;
        node.weight[0] = weight;
        node.weight[1] = gamma;
        node.shape.attrs.mix_first = (int32_t)first;
        mixed = add_node(p, label, &node);
        if (mixed == MTF_NO_TENSOR) {
            break;
        }
    }
    return mixed;
}

mtf_tensor_id mtf_node_pick(mtf_program *p, const char *label, mtf_tensor_id x,
                            mtf_tensor_id positions)
{
    mtf_node node = blank(&mtf_op_pick, x, positions);
    const mtf_tensor_id picked = add_node(p, label, &node);
    if (picked == MTF_NO_TENSOR) {
        return picked;
    }
    const int32_t from = p->tensors[x].space;
    mtf_tensor *ids = &p->tensors[positions];
    mtf_space_def *space = &p->spaces[ids->space];
    if (ids->role != MTF_ROLE_INPUT || (ids->rows_of != 0 && ids->rows_of != from)) {
        mtf_program_fail(p, MTF_ERR_CONFIG,
                         "rows are picked by an input, and one input from one row space only");
        return MTF_NO_TENSOR;
    }
    ids->rows_of = from;
    if (space->max_length == 0) {
        space->max_length = p->spaces[from].max_length;
    }
    return picked;
}

mtf_tensor_id mtf_node_pair_features(mtf_program *p, const char *label, mtf_tensor_id x,
                                     int32_t pairs)
{
    mtf_node node = blank(&mtf_op_pair_features, x, MTF_NO_TENSOR);
    node.shape.attrs.pair_space = pairs;
    return add_node(p, label, &node);
}

mtf_tensor_id mtf_node_normalize(mtf_program *p, const char *label, mtf_tensor_id x, double eps)
{
    mtf_node node = blank(&mtf_op_normalize, x, MTF_NO_TENSOR);
    node.shape.attrs.eps = (mtf_real)eps;
    return add_node(p, label, &node);
}
