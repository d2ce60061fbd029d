/* A Python batch -> the core's packed batch: (ids (T,) or None, offsets (B + 1,), token_types (T,) or
 * None), and as a fourth part perhaps a mapping of features: output -> float32 (N, width).
 *
 * What the core cannot know is checked here: that the offsets end where the ids end, that the token
 * types go with them, and that features have the rows and widths of their outputs. Ids and offsets
 * themselves are the core's to check as well.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

/* Offsets must rise strictly from 0. */
static int check_offsets(const PyArrayObject *offsets)
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
    return 0;
}

PyArrayObject *mtf_py_offsets(PyObject *object)
{
    PyArrayObject *offsets = mtf_py_int64_copy(object, "offsets");
    if (offsets != NULL && check_offsets(offsets) < 0) {
        Py_CLEAR(offsets);
    }
    return offsets;
}

/* Adds one input to what the core gets. */
static void add_input(mtf_py_batch *batch, const char *name, PyArrayObject *array)
{
    batch->inputs[batch->batch.n_inputs++] = (mtf_input){.name = name, .data = PyArray_DATA(array)};
}

static int read_ids(mtf_py_batch *batch, PyObject *object)
{
    if (object == Py_None) {
        return 0;
    }
    batch->ids = mtf_py_int32_copy(object, "ids");
    if (batch->ids == NULL) {
        return -1;
    }
    if (PyArray_DIM(batch->ids, 0) != batch->n_tokens) {
        PyErr_Format(PyExc_ValueError, "offsets must end at the number of ids, %zd, found %zd",
                     (Py_ssize_t)PyArray_DIM(batch->ids, 0), (Py_ssize_t)batch->n_tokens);
        return -1;
    }
    add_input(batch, "ids", batch->ids);
    return 0;
}

static int read_token_types(mtf_py_batch *batch, PyObject *object)
{
    if (object == Py_None) {
        return 0;
    }
    batch->token_types = mtf_py_int32_copy(object, "token_types");
    if (batch->token_types == NULL) {
        return -1;
    }
    if (PyArray_DIM(batch->token_types, 0) != batch->n_tokens) {
        PyErr_Format(PyExc_ValueError, "token_types must have one element a token, %zd, found %zd",
                     (Py_ssize_t)batch->n_tokens, (Py_ssize_t)PyArray_DIM(batch->token_types, 0));
        return -1;
    }
    add_input(batch, "token_types", batch->token_types);
    return 0;
}

/* Reads output -> values; both are kept in batch->features. */
static int read_features(mtf_py_batch *batch, const mtf_py_model *self, PyObject *object)
{
    PyObject *pairs = mtf_py_pairs(object, "features");
    if (pairs == NULL) {
        return -1;
    }
    batch->features = PyList_New(0);
    int failed = batch->features == NULL || PyList_Append(batch->features, pairs) < 0;
    Py_DECREF(pairs);
    if (!failed && PyTuple_GET_SIZE(pairs) > MTF_MAX_FEATURES) {
        PyErr_Format(PyExc_ValueError, "a batch takes at most %d features, found %zd",
                     MTF_MAX_FEATURES, PyTuple_GET_SIZE(pairs));
        failed = 1;
    }
    for (Py_ssize_t i = 0; !failed && i < PyTuple_GET_SIZE(pairs); i++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, i);
        char what[128];
        mtf_output_info info;
        const char *name = mtf_py_text(PyTuple_GET_ITEM(pair, 0), "the output of a feature");
        if (name == NULL || mtf_py_find_output(self, name, &info) < 0) {
            return -1;
        }
        (void)PyOS_snprintf(what, sizeof what, "the feature '%.90s'", name);
        npy_intp shape[2] = {mtf_py_output_rows(&info, batch), (npy_intp)info.width};
        PyArrayObject *values =
            mtf_py_floats(PyTuple_GET_ITEM(pair, 1), what, NPY_FLOAT32, 2, shape);
        failed = values == NULL || PyList_Append(batch->features, (PyObject *)values) < 0;
        if (!failed) {
            add_input(batch, name, values);
        }
        Py_XDECREF(values);
    }
    return failed ? -1 : 0;
}

/* Converts and checks the parts. */
static int read_parts(mtf_py_batch *batch, const mtf_py_model *self, PyObject *parts)
{
    batch->offsets = mtf_py_offsets(PyTuple_GET_ITEM(parts, 1));
    if (batch->offsets == NULL) {
        return -1;
    }
    batch->n_sequences = PyArray_DIM(batch->offsets, 0) - 1;
    const int64_t *offsets = PyArray_DATA(batch->offsets);
    batch->n_tokens = (npy_intp)offsets[batch->n_sequences];
    batch->rows = (mtf_rows){.space = "tokens", .offsets = offsets};
    batch->batch = (mtf_batch){.n_sequences = batch->n_sequences,
                               .n_spaces = 1,
                               .spaces = &batch->rows,
                               .inputs = batch->inputs};
    if (read_ids(batch, PyTuple_GET_ITEM(parts, 0)) < 0 ||
        read_token_types(batch, PyTuple_GET_ITEM(parts, 2)) < 0) {
        return -1;
    }
    return PyTuple_GET_SIZE(parts) < 4 ? 0 : read_features(batch, self, PyTuple_GET_ITEM(parts, 3));
}

mtf_py_batch *mtf_py_batch_new(const mtf_py_model *self, PyObject *object)
{
    PyObject *parts = mtf_py_items(object, "batch");
    if (parts == NULL) {
        return NULL;
    }
    mtf_py_batch *batch = NULL;
    if (PyTuple_GET_SIZE(parts) != 3 && PyTuple_GET_SIZE(parts) != 4) {
        PyErr_Format(PyExc_ValueError,
                     "batch must be (ids or None, offsets, token_types or None) or these and a "
                     "mapping of features, found %zd elements",
                     PyTuple_GET_SIZE(parts));
    } else if ((batch = PyMem_Calloc(1, sizeof(*batch))) == NULL) {
        PyErr_NoMemory();
    } else if (read_parts(batch, self, parts) < 0) {
        mtf_py_batch_free(batch);
        batch = NULL;
    }
    Py_DECREF(parts);
    return batch;
}

void mtf_py_batch_free(mtf_py_batch *batch)
{
    if (batch != NULL) {
        Py_XDECREF(batch->ids);
        Py_XDECREF(batch->offsets);
        Py_XDECREF(batch->token_types);
        Py_XDECREF(batch->features);
        PyMem_Free(batch);
    }
}
