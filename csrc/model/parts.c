/* parts.c: parameters with the nodes that read them; see parts.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "parts.h"

#include <math.h>
#include <stdio.h>

/* Joins up to four texts in `name` and returns it. */
static const char *join(const mtf_block *block, char name[MTF_PART_NAME], const char *first,
                        const char *second, const char *third, const char *fourth)
{
    const int length = snprintf(name, MTF_PART_NAME, "%s%s%s%s", first, second, third, fourth);
    if (length < 0 || length >= MTF_PART_NAME) {
        mtf_program_fail(block->program, MTF_ERR_CONFIG,
                         "a parameter's key or an operation's label would be longer than 255 "
                         "bytes; choose a shorter name");
    }
    return name;
}

/* "<keys>.<part><kind>" */
static const char *key_of(const mtf_block *block, const char *part, const char *kind,
                          char key[MTF_PART_NAME])
{
    return join(block, key, block->keys, part[0] != '\0' ? "." : "", part, kind);
}

const char *mtf_part_label(const mtf_block *block, const char *part, char label[MTF_PART_NAME])
{
    return join(block, label, block->label, part[0] != '\0' ? " " : "", part, "");
}

/* After a failure any width will do: nothing is declared any more. */
static int64_t width_of(const mtf_block *block, mtf_tensor_id x)
{
    return x != MTF_NO_TENSOR ? block->program->tensors[x].width : 1;
}

static int32_t matrix(const mtf_block *block, const char *part, int64_t rows, int64_t cols,
                      mtf_layout layout)
{
    char key[MTF_PART_NAME];
    const int64_t shape[2] = {rows, cols};
    return mtf_program_param(block->program, key_of(block, part, ".weight", key), 2, shape, layout,
                             1, block->init, block->init_bound);
}

int32_t mtf_part_weight(const mtf_block *block, const char *part, int64_t rows, int64_t cols)
{
    return matrix(block, part, rows, cols, MTF_LAYOUT_OUT_IN);
}

/* One value a column, which does not decay: ".weight" of a norm or ".bias". */
static int32_t vector(const mtf_block *block, const char *part, const char *kind, int64_t n,
                      mtf_init init)
{
    char key[MTF_PART_NAME];
    return mtf_program_param(block->program, key_of(block, part, kind, key), 1, &n,
                             MTF_LAYOUT_OUT_IN, 0, init, 0);
}

int32_t mtf_part_factors(const mtf_block *block, const char *part, int64_t n)
{
    return vector(block, part, "", n, MTF_INIT_ONE);
}

mtf_tensor_id mtf_part_linear(const mtf_block *block, const char *part, mtf_tensor_id x, int64_t n,
                              int has_bias, mtf_activation activation)
{
    char label[MTF_PART_NAME];
    const int32_t weight = mtf_part_weight(block, part, n, width_of(block, x));
    const int32_t bias = has_bias ? vector(block, part, ".bias", n, MTF_INIT_ZERO) : -1;
    return mtf_node_linear(block->program, mtf_part_label(block, part, label), x, weight, bias,
                           activation);
}

mtf_tensor_id mtf_part_conv1d(const mtf_block *block, const char *part, mtf_tensor_id x, int64_t n,
                              mtf_activation activation)
{
    char label[MTF_PART_NAME];
    const int32_t weight = matrix(block, part, width_of(block, x), n, MTF_LAYOUT_IN_OUT);
    const int32_t bias = vector(block, part, ".bias", n, MTF_INIT_ZERO);
    return mtf_node_linear(block->program, mtf_part_label(block, part, label), x, weight, bias,
                           activation);
}

mtf_tensor_id mtf_part_dense(const mtf_block *block, const char *part, mtf_tensor_id x, int64_t n,
                             mtf_activation activation)
{
    return mtf_part_linear(block, part, x, n, 1, activation);
}

void mtf_part_linears(const mtf_block *block, const char *part, mtf_tensor_id x, int n_parts,
                      const char *const *parts, const int64_t *widths, int has_bias,
                      mtf_tensor_id *out)
{
    char label[MTF_PART_NAME];
    int32_t weights[MTF_MAX_OUT], biases[MTF_MAX_OUT];
    for (int i = 0; i < n_parts; i++) {
        weights[i] = mtf_part_weight(block, parts[i], widths[i], width_of(block, x));
        biases[i] = has_bias ? vector(block, parts[i], ".bias", widths[i], MTF_INIT_ZERO) : -1;
    }
    mtf_node_linears(block->program, mtf_part_label(block, part, label), x, n_parts, weights,
                     biases, MTF_ACT_NONE, out);
}

mtf_tensor_id mtf_part_rmsnorm(const mtf_block *block, const char *part, mtf_tensor_id x,
                               mtf_tensor_id residual, int64_t width, double eps,
                               mtf_tensor_id *sum)
{
    char label[MTF_PART_NAME];
    const int64_t n = width > 0 ? width : width_of(block, x);
    const int32_t weight = vector(block, part, ".weight", n, MTF_INIT_ONE);
    return mtf_node_rmsnorm(block->program, mtf_part_label(block, part, label), x, residual, weight,
                            eps, 0, sum);
}

mtf_tensor_id mtf_part_layernorm(const mtf_block *block, const char *part, mtf_tensor_id x,
                                 mtf_tensor_id residual, int has_bias, double eps,
                                 mtf_tensor_id *sum)
{
    char label[MTF_PART_NAME];
    const int64_t width = width_of(block, x);
    const int32_t weight = vector(block, part, ".weight", width, MTF_INIT_ONE);
    const int32_t bias = has_bias ? vector(block, part, ".bias", width, MTF_INIT_ZERO) : -1;
    return mtf_node_layernorm(block->program, mtf_part_label(block, part, label), x, residual,
                              weight, bias, eps, sum);
}

mtf_tensor_id mtf_part_norm(const mtf_block *block, const char *part, mtf_tensor_id x,
                            mtf_tensor_id residual, double eps)
{
    return mtf_part_layernorm(block, part, x, residual, 1, eps, NULL);
}

mtf_tensor_id mtf_part_dropout(const mtf_block *block, const char *part, mtf_tensor_id x,
                               double rate)
{
    char label[MTF_PART_NAME];
    return mtf_node_dropout(block->program, mtf_part_label(block, part, label), x, rate);
}

/* Projections of one side of the distances: into to[0] for queries, to[2] for keys, where they are. */
static void project_distances(const mtf_block *block, const char *part, const mtf_distances_part *d,
                              mtf_tensor_id rows, mtf_tensor_id *to)
{
    const char *const projections[2] = {d->key, d->query};
    const int64_t widths[2] = {width_of(block, rows), width_of(block, rows)};
    const char *names[2];
    mtf_tensor_id found[2];
    int n = 0;
    for (int i = 0; i < 2; i++) {
        if (projections[i] != NULL) {
            names[n++] = projections[i];
        }
    }
    rows = mtf_part_dropout(block, part, rows, d->rate);
    mtf_part_linears(block, part, rows, n, names, widths, 1, found);
    for (int i = 1; i >= 0; i--) {
        to[2 * i] = projections[i] != NULL ? found[--n] : MTF_NO_TENSOR;
    }
}

static mtf_tensor_id disentangled(const mtf_block *block, const char *part,
                                  const mtf_attention_part *names, const mtf_tensor_id *qkv)
{
    char label[MTF_PART_NAME];
    const mtf_distances_part *d = names->distances;
    const int kinds = 1 + (d->key != NULL) + (d->query != NULL);
    const int64_t head_width = width_of(block, qkv[0]) / names->n_heads;
    mtf_tensor_id in[7] = {qkv[0], qkv[1], qkv[2]};
    project_distances(block, "distances ahead", d, d->ahead, in + 3);
    project_distances(block, "distances back", d, d->back, in + 4);
    return mtf_node_disentangled(block->program, mtf_part_label(block, part, label), in,
                                 (int32_t)names->n_heads, 1.0 / sqrt((double)(head_width * kinds)),
                                 names->rate);
}

mtf_tensor_id mtf_part_attention(const mtf_block *block, const char *part,
                                 const mtf_attention_part *names, mtf_tensor_id x)
{
    char label[MTF_PART_NAME];
    const char *const projections[3] = {names->query, names->key, names->value};
    const int64_t width = width_of(block, x);
    const mtf_relative_part *relative = names->relative;
    const mtf_attention_spec spec = {.n_heads = (int32_t)names->n_heads,
                                     .left = -1,
                                     .right = -1,
                                     .scale = 1.0 / sqrt((double)(width / names->n_heads)),
                                     .rate = names->rate,
                                     .relative = relative != NULL ? relative->table : -1,
                                     .max_distance = relative != NULL ? relative->max_distance : 0};
    const int64_t widths[3] = {width, width, width};
    mtf_tensor_id qkv[3];
    mtf_part_linears(block, part, x, 3, projections, widths, !names->unbiased, qkv);
    x = names->distances != NULL
            ? disentangled(block, part, names, qkv)
            : mtf_node_attention(block->program, mtf_part_label(block, part, label), qkv[0], qkv[1],
                                 qkv[2], &spec);
    return mtf_part_dense(block, names->output, x, width, MTF_ACT_NONE);
}
