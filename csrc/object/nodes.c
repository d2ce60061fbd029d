/* nodes.c: a model's nodes as mtfreeze_nodes.h shows them.
 *
 * Attributes are listed once, by the names that mtf_attrs has: a new one is one line here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../include/mtfreeze_nodes.h"
#include "object.h"

#define ATTRIBUTES(X)                                                                              \
    X(activation)                                                                                  \
    X(layout)                                                                                      \
    X(eps)                                                                                         \
    X(weight_offset)                                                                               \
    X(gate_last)                                                                                   \
    X(n_rotated)                                                                                   \
    X(rotary_width)                                                                                \
    X(theta)                                                                                       \
    X(rate)                                                                                        \
    X(scale)                                                                                       \
    X(n_heads)                                                                                     \
    X(n_kv_heads)                                                                                  \
    X(head_width)                                                                                  \
    X(left)                                                                                        \
    X(right)                                                                                       \
    X(max_distance)                                                                                \
    X(distance_span)                                                                               \
    X(looks_back)                                                                                  \
    X(kernel)                                                                                      \
    X(stride)                                                                                      \
    X(padding)                                                                                     \
    X(same)                                                                                        \
    X(bins)                                                                                        \
    X(pooling)                                                                                     \
    X(grid_height)                                                                                 \
    X(grid_width)                                                                                  \
    X(grid_lead)                                                                                   \
    X(grid_space)                                                                                  \
    X(antialias)                                                                                   \
    X(skip_rows)                                                                                   \
    X(row_width)                                                                                   \
    X(mix_first)                                                                                   \
    X(position_offset)                                                                             \
    X(skips_pad)

#define NAME(attribute)  #attribute,
#define VALUE(attribute) (double)attrs->attribute,
#define ONE(attribute)   +1

enum { N_ATTRIBUTES = 0 ATTRIBUTES(ONE) };

static const char *const names[] = {ATTRIBUTES(NAME)};

size_t mtf_model_n_nodes(const mtf_model *model)
{
    return (size_t)model->network->program->n_nodes;
}

void mtf_model_get_node(const mtf_model *model, size_t index, mtf_node_info *info)
{
    const mtf_node *node = &model->network->program->nodes[index];
    *info = (mtf_node_info){.op = node->op->name,
                            .label = node->label,
                            .n_inputs = MTF_MAX_IN,
                            .n_outputs = MTF_MAX_OUT,
                            .n_params = MTF_MAX_WEIGHTS,
                            .inputs = node->in,
                            .outputs = node->out,
                            .params = node->weight};
}

int64_t mtf_model_get_tensor_width(const mtf_model *model, int32_t tensor)
{
    return model->network->program->tensors[tensor].width;
}

int32_t mtf_model_get_tensor_space(const mtf_model *model, int32_t tensor)
{
    return model->network->program->tensors[tensor].space;
}

size_t mtf_n_attributes(void)
{
    return N_ATTRIBUTES;
}

const char *mtf_attribute_name(size_t attribute)
{
    return names[attribute];
}

double mtf_model_get_attribute(const mtf_model *model, size_t index, size_t attribute)
{
    const mtf_attrs *attrs = &model->network->program->nodes[index].shape.attrs;
    const double values[] = {ATTRIBUTES(VALUE)};
    return values[attribute];
}
