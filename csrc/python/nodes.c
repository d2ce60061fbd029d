/* The nodes of a model as Python sees them: what it computes, operation by operation.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../include/mtfreeze_nodes.h"
#include "binding.h"

/* What is told of a tensor: its number, its width, its row space; of an absent one -1, 0, -1. */
enum { NUMBER, WIDTH, SPACE };

static int64_t told_of(const mtf_model *model, int32_t tensor, int what)
{
    if (what == NUMBER || tensor < 0) {
        return what == WIDTH ? 0 : tensor;
    }
    return what == WIDTH ? mtf_model_get_tensor_width(model, tensor)
                         : mtf_model_get_tensor_space(model, tensor);
}

/* Tuple of n numbers, or of what is told of the tensors that have them. */
static PyObject *numbers(const int32_t *values, size_t n, const mtf_model *model, int what)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)n);
    for (size_t i = 0; tuple != NULL && i < n; i++) {
        PyObject *value = PyLong_FromLongLong(told_of(model, values[i], what));
        if (value == NULL) {
            Py_CLEAR(tuple);
        } else {
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, value);
        }
    }
    return tuple;
}

/* Dictionary of a node's attributes by name. */
static PyObject *attributes_of(const mtf_model *model, size_t index)
{
    PyObject *found = PyDict_New();
    for (size_t i = 0; found != NULL && i < mtf_n_attributes(); i++) {
        PyObject *value = PyFloat_FromDouble(mtf_model_get_attribute(model, index, i));
        if (value == NULL || PyDict_SetItemString(found, mtf_attribute_name(i), value) < 0) {
            Py_CLEAR(found);
        }
        Py_XDECREF(value);
    }
    return found;
}

static PyObject *node_result(mtf_py_model *self, size_t index)
{
    mtf_node_info info;
    mtf_model_get_node(self->model, index, &info);
    PyObject *fields[] = {PyUnicode_FromString(info.op),
                          PyUnicode_FromString(info.label),
                          numbers(info.inputs, info.n_inputs, self->model, NUMBER),
                          numbers(info.outputs, info.n_outputs, self->model, NUMBER),
                          numbers(info.outputs, info.n_outputs, self->model, WIDTH),
                          numbers(info.outputs, info.n_outputs, self->model, SPACE),
                          numbers(info.params, info.n_params, self->model, NUMBER),
                          attributes_of(self->model, index)};
    return mtf_py_result(self->state, MTF_PY_NODE_INFO, fields);
}

PyObject *mtf_py_nodes(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":nodes", keywords)) {
        return NULL;
    }
    return mtf_py_list_of(self, mtf_model_n_nodes(self->model), node_result);
}
