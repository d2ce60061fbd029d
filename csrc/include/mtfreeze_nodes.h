/* mtfreeze_nodes.h: what a model computes, operation by operation, for whoever writes it in another
 * language (a graph of ONNX). Read only; part of the public header mtfreeze.h.
 *
 * Tensors are numbered: input i of the model (mtf_model_get_input) is tensor i, an output says its
 * tensor (mtf_output_info), all others are made by one node each. Nodes stand in an order in which every
 * tensor is made before it is read. What an operation computes from which attributes stands at the top
 * of its file in csrc/ops.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTFREEZE_NODES_H
#define MTFREEZE_NODES_H

#include "mtfreeze.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mtf_node_info {
    const char *op;    /* "linear" */
    const char *label; /* "backbone.layers[0] attention" */
    size_t n_inputs, n_outputs, n_params;
    const int32_t *inputs;  /* (n_inputs) tensors; -1: absent */
    const int32_t *outputs; /* (n_outputs) likewise */
    const int32_t *params;  /* (n_params) indexes of parameters; -1: absent */
} mtf_node_info;

size_t mtf_model_n_nodes(const mtf_model *model);
/* Borrowed until the next change of heads. Indexes must be in range, here and below. */
void mtf_model_get_node(const mtf_model *model, size_t index, mtf_node_info *info);
/* Columns of a tensor. */
int64_t mtf_model_get_tensor_width(const mtf_model *model, int32_t tensor);
/* The row space that it has a row a row of: its number, as mtf_model_get_space counts. */
int32_t mtf_model_get_tensor_space(const mtf_model *model, int32_t tensor);
/* Attributes: every node has all of them, an operation reads its own. */
size_t mtf_n_attributes(void);
const char *mtf_attribute_name(size_t attribute);
double mtf_model_get_attribute(const mtf_model *model, size_t index, size_t attribute);

#ifdef __cplusplus
}
#endif

#endif
