/* Where the rows of each sequence begin: a mapping from row spaces to int64 (B + 1,), for all row
 * spaces of a model that have offsets. "sequences" has one row a sequence, so it has none; a row space
 * of heads that is left out has no rows. And how many columns the grids of pictures have: a mapping
 * from row spaces to int64 (B,), which may be absent.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

#include <string.h>

/* Offsets must rise from 0, strictly but in row spaces of heads, and be those of `n_sequences` sequences (-1: of any number). */
static int check_offsets(const PyArrayObject *offsets, const mtf_space_info *info,
                         npy_intp n_sequences)
{
    const char *space = info->name;
    npy_intp n = PyArray_DIM(offsets, 0);
    if (n == 0) {
        PyErr_Format(PyExc_ValueError,
                     "offsets of the %.90s must have one element more than there are sequences, "
                     "found none",
                     space);
        return -1;
    }
    if (n_sequences >= 0 && n != n_sequences + 1) {
        PyErr_Format(PyExc_ValueError,
                     "offsets of the %.90s must have %zd elements, as many as those of the other "
                     "row spaces, found %zd",
                     space, (Py_ssize_t)n_sequences + 1, (Py_ssize_t)n);
        return -1;
    }
    const int64_t *values = PyArray_DATA((PyArrayObject *)offsets);
    if (values[0] != 0) {
        PyErr_Format(PyExc_ValueError, "offsets of the %.90s must start at 0, found %lld", space,
                     (long long)values[0]);
        return -1;
    }
    for (npy_intp i = 1; i < n; i++) {
        if (values[i] < values[i - 1] + !info->of_heads) {
            PyErr_Format(PyExc_ValueError,
                         "offsets of the %.90s must %s, found %lld after %lld at position %zd",
                         space, info->of_heads ? "not fall" : "rise strictly (no empty sequences)",
                         (long long)values[i], (long long)values[i - 1], (Py_ssize_t)i);
            return -1;
        }
    }
    return 0;
}

static mtf_rows *find_rows(mtf_py_offsets *offsets, const char *space)
{
    for (size_t i = 0; i < offsets->n; i++) {
        if (strcmp(offsets->spaces[i].space, space) == 0) {
            return &offsets->spaces[i];
        }
    }
    return NULL;
}

/* Reads one (row space, array). */
static int read_space(mtf_py_offsets *offsets, const mtf_py_model *self, PyObject *pair)
{
    char what[128];
    mtf_space_info info;
    const char *name = mtf_py_text(PyTuple_GET_ITEM(pair, 0), "the row space of offsets");
    if (name == NULL || mtf_py_find_space(self, name, &info) < 0) {
        return -1;
    }
    if (find_rows(offsets, name) != NULL) {
        PyErr_Format(PyExc_ValueError, "offsets name the %.90s twice", name);
        return -1;
    }
    (void)PyOS_snprintf(what, sizeof what, "offsets of the %.90s", name);
    PyArrayObject *array = mtf_py_int64_copy(PyTuple_GET_ITEM(pair, 1), what);
    if (array == NULL) {
        return -1;
    }
    int failed = check_offsets(array, &info, offsets->n == 0 ? -1 : offsets->n_sequences) < 0 ||
                 PyList_Append(offsets->keep, (PyObject *)array) < 0;
    if (!failed) {
        offsets->n_sequences = PyArray_DIM(array, 0) - 1;
        offsets->spaces[offsets->n++] = (mtf_rows){.space = name, .offsets = PyArray_DATA(array)};
    }
    Py_DECREF(array);
    return failed ? -1 : 0;
}

/* Reads one (row space, array) of widths. */
static int read_widths(mtf_py_offsets *offsets, const mtf_py_model *self, PyObject *pair)
{
    char what[128];
    mtf_space_info info;
    const char *name = mtf_py_text(PyTuple_GET_ITEM(pair, 0), "the row space of widths");
    if (name == NULL || mtf_py_find_space(self, name, &info) < 0) {
        return -1;
    }
    mtf_rows *rows = find_rows(offsets, name);
    if (rows == NULL || rows->widths != NULL || !info.is_grid) {
        PyErr_Format(PyExc_ValueError,
                     "widths must be those of row spaces that are grids and have offsets, each "
                     "once; found '%.90s'",
                     name);
        return -1;
    }
    (void)PyOS_snprintf(what, sizeof what, "widths of the %.90s", name);
    PyArrayObject *array = mtf_py_int64_copy(PyTuple_GET_ITEM(pair, 1), what);
    if (array == NULL) {
        return -1;
    }
    int failed = PyList_Append(offsets->keep, (PyObject *)array);
    if (!failed && PyArray_DIM(array, 0) != offsets->n_sequences) {
        PyErr_Format(PyExc_ValueError,
                     "%s must have %zd elements, one for each sequence, found %zd", what,
                     (Py_ssize_t)offsets->n_sequences, (Py_ssize_t)PyArray_DIM(array, 0));
        failed = -1;
    }
    rows->widths = PyArray_DATA(array);
    Py_DECREF(array);
    return failed;
}

typedef int (*pair_reader)(mtf_py_offsets *offsets, const mtf_py_model *self, PyObject *pair);

static int read_pairs(mtf_py_offsets *offsets, const mtf_py_model *self, PyObject *object,
                      const char *what, pair_reader read)
{
    PyObject *pairs = mtf_py_pairs(object, what);
    int failed = pairs == NULL || PyList_Append(offsets->keep, pairs) < 0; /* owns the names */
    for (Py_ssize_t i = 0; !failed && i < PyTuple_GET_SIZE(pairs); i++) {
        failed = read(offsets, self, PyTuple_GET_ITEM(pairs, i)) < 0;
    }
    Py_XDECREF(pairs);
    return failed ? -1 : 0;
}

/* Every row space of the family must have come; those of heads that did not have no rows. */
static int check_complete(mtf_py_offsets *offsets, const mtf_py_model *self)
{
    for (size_t s = 1; s < mtf_model_n_spaces(self->model); s++) {
        mtf_space_info info;
        mtf_model_get_space(self->model, s, &info);
        if (find_rows(offsets, info.name) == NULL && !info.of_heads) {
            PyErr_Format(PyExc_ValueError,
                         "offsets must say where each sequence's %.90s begin; found none of them",
                         info.name);
            return -1;
        }
    }
    return 0;
}

int mtf_py_offsets_init(mtf_py_offsets *offsets, const mtf_py_model *self, PyObject *object,
                        PyObject *widths)
{
    memset(offsets, 0, sizeof(*offsets));
    offsets->keep = PyList_New(0);
    if (offsets->keep == NULL || read_pairs(offsets, self, object, "offsets", read_space) < 0 ||
        check_complete(offsets, self) < 0 ||
        read_pairs(offsets, self, widths, "widths", read_widths) < 0) {
        mtf_py_offsets_clear(offsets);
        return -1;
    }
    return 0;
}

void mtf_py_offsets_clear(mtf_py_offsets *offsets)
{
    Py_CLEAR(offsets->keep);
    offsets->n = 0;
}

npy_intp mtf_py_rows(const mtf_py_offsets *offsets, const char *space)
{
    for (size_t i = 0; i < offsets->n; i++) {
        if (strcmp(offsets->spaces[i].space, space) == 0) {
            return (npy_intp)offsets->spaces[i].offsets[offsets->n_sequences];
        }
    }
    return strcmp(space, "sequences") == 0 ? offsets->n_sequences : 0; /* 0: of heads, left out */
}
