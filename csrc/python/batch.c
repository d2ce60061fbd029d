/* A Python batch -> the core's packed batch: a mapping of
 *
 *   "inputs"    input -> ids (N,) or float rows (N, width), N being the rows of its row space
 *   "offsets"   row space -> (B + 1,), where the rows of each sequence begin
 *   "widths"    row space -> (B,), columns of each sequence's grid; may be absent
 *   "features"  output -> values (N, width); may be absent, like inputs
 *
 * What the core cannot know is checked here: that inputs and features have the dtypes, rows and widths
 * which the model and the offsets say. Ids and offsets themselves are the core's to check as well.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

#include <string.h>

/* The ids of one input; NULL unless there is one for each row. */
static PyArrayObject *read_ids(PyObject *object, const char *what, const mtf_input_info *info,
                               npy_intp n_rows)
{
    PyArrayObject *ids = mtf_py_int32_copy(object, what);
    if (ids != NULL && PyArray_DIM(ids, 0) != n_rows) {
        PyErr_Format(PyExc_ValueError,
                     "%s must have %zd elements, one for each of the %.90s that offsets say, found "
                     "%zd",
                     what, (Py_ssize_t)n_rows, info->space, (Py_ssize_t)PyArray_DIM(ids, 0));
        Py_CLEAR(ids);
    }
    return ids;
}

static int read_input(mtf_py_batch *batch, const mtf_py_model *self, PyObject *pair)
{
    char what[128];
    mtf_input_info info;
    const char *name = mtf_py_text(PyTuple_GET_ITEM(pair, 0), "the name of an input");
    if (name == NULL || mtf_py_find_input(self, name, &info) < 0) {
        return -1;
    }
    (void)PyOS_snprintf(what, sizeof what, "the input '%.90s'", name);
    const npy_intp shape[2] = {mtf_py_rows(&batch->offsets, info.space), (npy_intp)info.width};
    PyArrayObject *array =
        info.width == 0 ? read_ids(PyTuple_GET_ITEM(pair, 1), what, &info, shape[0])
                        : mtf_py_floats(PyTuple_GET_ITEM(pair, 1), what, NPY_FLOAT32, 2, shape);
    if (array == NULL) {
        return -1;
    }
    batch->inputs[batch->batch.n_inputs++] = (mtf_input){.name = name, .data = PyArray_DATA(array)};
    int failed = PyList_Append(batch->keep, (PyObject *)array);
    Py_DECREF(array);
    return failed;
}

static int read_feature(mtf_py_batch *batch, const mtf_py_model *self, PyObject *pair)
{
    char what[128];
    mtf_output_info info;
    const char *name = mtf_py_text(PyTuple_GET_ITEM(pair, 0), "the output of a feature");
    if (name == NULL || mtf_py_find_output(self, name, &info) < 0) {
        return -1;
    }
    (void)PyOS_snprintf(what, sizeof what, "the feature '%.90s'", name);
    const npy_intp shape[2] = {mtf_py_output_rows(&info, batch), (npy_intp)info.width};
    PyArrayObject *values = mtf_py_floats(PyTuple_GET_ITEM(pair, 1), what, NPY_FLOAT32, 2, shape);
    if (values == NULL) {
        return -1;
    }
    batch->features[batch->batch.n_features++] =
        (mtf_feature){.output = name, .values = PyArray_DATA(values)};
    int failed = PyList_Append(batch->keep, (PyObject *)values);
    Py_DECREF(values);
    return failed;
}

typedef int (*entry_reader)(mtf_py_batch *batch, const mtf_py_model *self, PyObject *pair);

/* Reads the entries of a part, of which there may be `most`. */
static int read_entries(mtf_py_batch *batch, const mtf_py_model *self, PyObject *object,
                        const char *what, Py_ssize_t most, entry_reader read)
{
    PyObject *pairs = mtf_py_pairs(object, what);
    int failed = pairs == NULL || PyList_Append(batch->keep, pairs) < 0; /* owns the names */
    if (!failed && PyTuple_GET_SIZE(pairs) > most) {
        PyErr_Format(PyExc_ValueError, "a batch takes at most %zd %s, found %zd", most, what,
                     PyTuple_GET_SIZE(pairs));
        failed = 1;
    }
    for (Py_ssize_t i = 0; !failed && i < PyTuple_GET_SIZE(pairs); i++) {
        failed = read(batch, self, PyTuple_GET_ITEM(pairs, i)) < 0;
    }
    Py_XDECREF(pairs);
    return failed ? -1 : 0;
}

/* The parts of a batch; borrowed from its pairs, Py_None where absent. */
typedef struct batch_parts {
    PyObject *inputs, *offsets, *widths, *features;
} batch_parts;

static int find_parts(batch_parts *parts, PyObject *pairs)
{
    *parts = (batch_parts){Py_None, Py_None, Py_None, Py_None};
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(pairs); i++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, i);
        const char *key = mtf_py_text(PyTuple_GET_ITEM(pair, 0), "a key of a batch");
        if (key == NULL) {
            return -1;
        }
        PyObject **part = strcmp(key, "inputs") == 0     ? &parts->inputs
                          : strcmp(key, "offsets") == 0  ? &parts->offsets
                          : strcmp(key, "widths") == 0   ? &parts->widths
                          : strcmp(key, "features") == 0 ? &parts->features
                                                         : NULL;
        if (part == NULL) {
            PyErr_Format(PyExc_ValueError,
                         "a batch has the keys 'inputs', 'offsets', 'widths' and 'features', found "
                         "'%.90s'",
                         key);
            return -1;
        }
        *part = PyTuple_GET_ITEM(pair, 1);
    }
    return 0;
}

static int read_batch(mtf_py_batch *batch, const mtf_py_model *self, PyObject *pairs)
{
    batch_parts parts;
    batch->keep = PyList_New(0);
    if (batch->keep == NULL || find_parts(&parts, pairs) < 0 ||
        mtf_py_offsets_init(&batch->offsets, self, parts.offsets, parts.widths) < 0) {
        return -1;
    }
    batch->batch = (mtf_batch){.n_sequences = batch->offsets.n_sequences,
                               .n_spaces = batch->offsets.n,
                               .spaces = batch->offsets.spaces,
                               .inputs = batch->inputs,
                               .features = batch->features};
    if (read_entries(batch, self, parts.inputs, "inputs", MTF_MAX_INPUTS, read_input) < 0) {
        return -1;
    }
    return read_entries(batch, self, parts.features, "features", MTF_MAX_FEATURES, read_feature);
}

mtf_py_batch *mtf_py_batch_new(const mtf_py_model *self, PyObject *object)
{
    if (object == Py_None) {
        PyErr_SetString(PyExc_TypeError, "batch must be a mapping, found None");
        return NULL;
    }
    PyObject *pairs = mtf_py_pairs(object, "batch");
    if (pairs == NULL) {
        return NULL;
    }
    mtf_py_batch *batch = PyMem_Calloc(1, sizeof(*batch));
    if (batch == NULL) {
        PyErr_NoMemory();
    } else if (read_batch(batch, self, pairs) < 0) {
        mtf_py_batch_free(batch);
        batch = NULL;
    }
    Py_DECREF(pairs);
    return batch;
}

void mtf_py_batch_free(mtf_py_batch *batch)
{
    if (batch != NULL) {
        mtf_py_offsets_clear(&batch->offsets);
        Py_XDECREF(batch->keep);
        PyMem_Free(batch);
    }
}
