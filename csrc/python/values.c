/* Losses of outputs that are at hand, and the assignment that one of them makes: no model is needed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

/* Outputs (M,N) in float32; targets and offsets of them, as the kind of loss takes them. */
typedef struct loss_arrays {
    PyArrayObject *outputs, *targets, *offsets;
} loss_arrays;

static void clear(loss_arrays *arrays)
{
    Py_XDECREF(arrays->outputs);
    Py_XDECREF(arrays->targets);
    Py_XDECREF(arrays->offsets);
}

/* The shape of an array of two dimensions. */
static int read_shape(PyObject *object, const char *what, npy_intp shape[2])
{
    if (!PyArray_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be a numpy.ndarray, found %.100s", what,
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    if (PyArray_NDIM((PyArrayObject *)object) != 2) {
        PyErr_Format(PyExc_ValueError, "%s must have two dimensions, found %d", what,
                     PyArray_NDIM((PyArrayObject *)object));
        return -1;
    }
    shape[0] = PyArray_DIM((PyArrayObject *)object, 0);
    shape[1] = PyArray_DIM((PyArrayObject *)object, 1);
    return 0;
}

static int read_targets(loss_arrays *arrays, const mtf_loss_info *loss, PyObject *object,
                        npy_intp n_rows)
{
    if (loss->type == MTF_TARGET_ROWS) {
        const npy_intp shape[2] = {n_rows, (npy_intp)loss->width};
        arrays->targets = mtf_py_floats_copy(object, "targets", NPY_FLOAT32, 2, shape);
        return arrays->targets != NULL ? 0 : -1;
    }
    arrays->targets = mtf_py_int32_copy(object, "labels");
    if (arrays->targets != NULL && PyArray_DIM(arrays->targets, 0) != n_rows) {
        PyErr_Format(PyExc_ValueError, "labels must have %zd elements, one for each row, found %zd",
                     (Py_ssize_t)n_rows, (Py_ssize_t)PyArray_DIM(arrays->targets, 0));
        return -1;
    }
    return arrays->targets != NULL ? 0 : -1;
}

static int read_arrays(loss_arrays *arrays, const mtf_loss_info *loss, PyObject *outputs,
                       PyObject *targets, PyObject *offsets, const npy_intp shape[2])
{
    arrays->outputs = mtf_py_floats(outputs, "outputs", NPY_FLOAT32, 2, shape);
    if (arrays->outputs == NULL || read_targets(arrays, loss, targets, shape[0]) < 0) {
        return -1;
    }
    arrays->offsets = mtf_py_int64_copy(offsets, "offsets");
    if (arrays->offsets != NULL && PyArray_SIZE(arrays->offsets) < 1) {
        PyErr_SetString(PyExc_ValueError, "offsets must have an element more than sequences, at "
                                          "least one; found none");
        return -1;
    }
    return arrays->offsets != NULL ? 0 : -1;
}

PyObject *mtf_py_loss_values(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"kind", "outputs", "targets", "offsets", "parts", NULL};
    PyObject *kind_object, *outputs, *targets, *offsets, *parts_object = NULL, *values = NULL;
    int64_t parts = 1;
    npy_intp shape[2];
    mtf_py_state *state = PyModule_GetState(module);
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOO|O:loss_values", keywords, &kind_object,
                                     &outputs, &targets, &offsets, &parts_object) ||
        mtf_py_runtime_ready(state) < 0) {
        return NULL;
    }
    const char *kind = mtf_py_text(kind_object, "the kind of a loss");
    if (kind == NULL || read_shape(outputs, "outputs", shape) < 0 ||
        (parts_object != NULL && mtf_py_int64(parts_object, "parts", &parts) < 0)) {
        return NULL;
    }
    mtf_loss_info info;
    mtf_error err = {MTF_OK, ""};
    mtf_status status = mtf_loss_get(kind, (int64_t)shape[1], &info, &err);
    if (status != MTF_OK) {
        return mtf_py_raise(state, status, &err);
    }
    loss_arrays arrays = {NULL, NULL, NULL};
    if (read_arrays(&arrays, &info, outputs, targets, offsets, shape) == 0) {
        const npy_intp n = PyArray_SIZE(arrays.offsets) - 1;
        values = PyArray_SimpleNew(1, &n, NPY_FLOAT64);
    }
    if (values != NULL) {
        const mtf_loss loss = {.output = "outputs",
                               .kind = info.kind,
                               .type = info.type,
                               .targets = PyArray_DATA(arrays.targets)};
        const mtf_real *y = PyArray_DATA(arrays.outputs);
        const int64_t *starts = PyArray_DATA(arrays.offsets);
        double *into = PyArray_DATA((PyArrayObject *)values);
        const int64_t n = (int64_t)PyArray_SIZE((PyArrayObject *)values);
        mtf_py_watch watch;
        mtf_py_watch_begin(&watch, state);
        Py_BEGIN_ALLOW_THREADS status = mtf_loss_values(
            &loss, y, (int64_t)shape[0], (int64_t)shape[1], parts, starts, n, into, &err);
        Py_END_ALLOW_THREADS status = mtf_py_watch_end(&watch, status);
        if (status != MTF_OK) {
            Py_CLEAR(values);
            mtf_py_raise(state, status, &err);
        }
    }
    clear(&arrays);
    return values;
}

PyObject *mtf_py_assignment(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"costs", NULL};
    PyObject *costs;
    npy_intp shape[2];
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:assignment", keywords, &costs) ||
        read_shape(costs, "costs", shape) < 0) {
        return NULL;
    }
    PyArrayObject *given = mtf_py_floats(costs, "costs", NPY_FLOAT64, 2, shape);
    PyObject *columns = given != NULL ? PyArray_SimpleNew(1, shape, NPY_INT64) : NULL;
    if (columns != NULL) {
        const double *cost = PyArray_DATA(given);
        int64_t *into = PyArray_DATA((PyArrayObject *)columns);
        mtf_error err = {MTF_OK, ""};
        mtf_status status;
        Py_BEGIN_ALLOW_THREADS status =
            mtf_assignment(cost, (int64_t)shape[0], (int64_t)shape[1], into, &err);
        Py_END_ALLOW_THREADS if (status != MTF_OK)
        {
            Py_CLEAR(columns);
            mtf_py_raise(PyModule_GetState(module), status, &err);
        }
    }
    Py_XDECREF(given);
    return columns;
}
