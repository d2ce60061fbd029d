/* A Python batch (ids (T,), offsets (B + 1,), token_types (T,) or None) -> the core's packed batch.
 *
 * What the core cannot know is checked here: that the offsets end where the ids end and that the
 * token types go with the ids. Ids and offsets themselves are the core's to check as well.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

/* Offsets must rise strictly from 0 to n_tokens. */
static int check_offsets(const PyArrayObject *offsets, npy_intp n_tokens)
{
    npy_intp n = PyArray_DIM(offsets, 0);
    if (n == 0) {
        PyErr_SetString(PyExc_ValueError,
                        "offsets must have one element more than there are sequences, found none");
        return -1;
    }
    const int64_t *values = PyArray_DATA((PyArrayObject *)offsets);
    if (values[0] != 0) {
        PyErr_Format(PyExc_ValueError, "offsets must start at 0, found %lld", (long long)values[0]);
        return -1;
    }
    for (npy_intp i = 1; i < n; i++) {
        if (values[i] <= values[i - 1]) {
            PyErr_Format(PyExc_ValueError,
                         "offsets must rise strictly (no empty sequences), found %lld after %lld "
                         "at position %zd",
                         (long long)values[i], (long long)values[i - 1], (Py_ssize_t)i);
            return -1;
        }
    }
    if (values[n - 1] != n_tokens) {
        PyErr_Format(PyExc_ValueError, "offsets must end at the number of ids, %zd, found %lld",
                     (Py_ssize_t)n_tokens, (long long)values[n - 1]);
        return -1;
    }
    return 0;
}

/* Converts and checks the three parts. */
static int read_parts(mtf_py_batch *batch, PyObject *parts)
{
    PyObject *token_types = PyTuple_GET_ITEM(parts, 2);
    batch->ids = mtf_py_int32_copy(PyTuple_GET_ITEM(parts, 0), "ids");
    if (batch->ids == NULL) {
        return -1;
    }
    batch->offsets = mtf_py_int64_copy(PyTuple_GET_ITEM(parts, 1), "offsets");
    if (batch->offsets == NULL) {
        return -1;
    }
    batch->n_tokens = PyArray_DIM(batch->ids, 0);
    if (check_offsets(batch->offsets, batch->n_tokens) < 0) {
        return -1;
    }
    batch->n_sequences = PyArray_DIM(batch->offsets, 0) - 1;
    if (token_types == Py_None) {
        return 0;
    }
    batch->token_types = mtf_py_int32_copy(token_types, "token_types");
    if (batch->token_types == NULL) {
        return -1;
    }
    if (PyArray_DIM(batch->token_types, 0) != batch->n_tokens) {
        PyErr_Format(PyExc_ValueError, "token_types must have one element an id, %zd, found %zd",
                     (Py_ssize_t)batch->n_tokens, (Py_ssize_t)PyArray_DIM(batch->token_types, 0));
        return -1;
    }
    return 0;
}

mtf_py_batch *mtf_py_batch_new(PyObject *object)
{
    PyObject *parts = mtf_py_items(object, "batch");
    if (parts == NULL) {
        return NULL;
    }
    mtf_py_batch *batch = NULL;
    if (PyTuple_GET_SIZE(parts) != 3) {
        PyErr_Format(PyExc_ValueError,
                     "batch must be (ids, offsets, token_types or None), found %zd elements",
                     PyTuple_GET_SIZE(parts));
        goto fail;
    }
    batch = PyMem_Calloc(1, sizeof(*batch));
    if (batch == NULL) {
        PyErr_NoMemory();
        goto fail;
    }
    if (read_parts(batch, parts) < 0) {
        goto fail;
    }
    batch->rows = (mtf_rows){.space = "tokens", .offsets = PyArray_DATA(batch->offsets)};
    batch->inputs[0] = (mtf_input){.name = "ids", .data = PyArray_DATA(batch->ids)};
    batch->batch = (mtf_batch){.n_sequences = batch->n_sequences,
                               .n_spaces = 1,
                               .spaces = &batch->rows,
                               .n_inputs = 1,
                               .inputs = batch->inputs};
    if (batch->token_types != NULL) {
        batch->inputs[1] =
            (mtf_input){.name = "token_types", .data = PyArray_DATA(batch->token_types)};
        batch->batch.n_inputs = 2;
    }
    Py_DECREF(parts);
    return batch;
fail:
    Py_DECREF(parts);
    mtf_py_batch_free(batch);
    return NULL;
}

void mtf_py_batch_free(mtf_py_batch *batch)
{
    if (batch != NULL) {
        Py_XDECREF(batch->ids);
        Py_XDECREF(batch->offsets);
        Py_XDECREF(batch->token_types);
        PyMem_Free(batch);
    }
}
