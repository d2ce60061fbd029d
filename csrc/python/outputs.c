/* The outputs of a model: finding one by name, and how many rows it has for a batch.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

#include <string.h>

/* Raises SelectorError with the names of all outputs. */
static void raise_no_output(const mtf_py_model *self, const char *name)
{
    size_t n = mtf_model_n_outputs(self->model);
    PyObject *names = PyList_New(0);
    PyObject *comma = PyUnicode_FromString(", ");
    PyObject *all = NULL;
    for (size_t i = 0; names != NULL && i < n; i++) {
        mtf_output_info info;
        mtf_model_get_output(self->model, i, &info);
        PyObject *item = PyUnicode_FromString(info.name);
        if (item == NULL || PyList_Append(names, item) < 0) {
            Py_CLEAR(names);
        }
        Py_XDECREF(item);
    }
    if (names != NULL && comma != NULL) {
        all = PyUnicode_Join(comma, names);
    }
    if (all != NULL) {
        PyErr_Format(self->state->exceptions[MTF_PY_SELECTOR_ERROR],
                     "this model has no output '%.200s'; it has: %U", name, all);
    }
    Py_XDECREF(all);
    Py_XDECREF(comma);
    Py_XDECREF(names);
}

int mtf_py_find_output(const mtf_py_model *self, const char *name, mtf_output_info *info)
{
    size_t n = mtf_model_n_outputs(self->model);
    for (size_t i = 0; i < n; i++) {
        mtf_model_get_output(self->model, i, info);
        if (strcmp(info->name, name) == 0) {
            return 0;
        }
    }
    raise_no_output(self, name);
    return -1;
}

npy_intp mtf_py_output_rows(const mtf_output_info *info, const mtf_py_batch *batch)
{
    return strcmp(info->space, "tokens") == 0 ? batch->n_tokens : batch->n_sequences;
}
