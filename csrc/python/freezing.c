/* The freeze state: masks from Python, and the methods that set what is frozen and in which precision.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

/* From the two arrays of a freeze state. */
static int read_masks(mtf_py_freeze *freeze, const mtf_py_model *self, PyObject *params,
                      PyObject *units)
{
    mtf_freeze_mask *mask = &freeze->mask;
    mask->n_params = mtf_model_n_params(self->model);
    mask->n_units = mtf_model_n_units(self->model);
    freeze->params = mtf_py_mask(params, "params", mask->n_params);
    freeze->units = freeze->params == NULL ? NULL : mtf_py_mask(units, "units", mask->n_units);
    if (freeze->units == NULL) {
        mtf_py_freeze_clear(freeze);
        return -1;
    }
    mask->params = PyArray_DATA(freeze->params);
    mask->units = PyArray_DATA(freeze->units);
    freeze->given = mask;
    return 0;
}

int mtf_py_freeze_init(mtf_py_freeze *freeze, const mtf_py_model *self, PyObject *object)
{
    *freeze = (mtf_py_freeze){.given = NULL};
    if (object == Py_None) {
        return 0;
    }
    PyObject *pair = mtf_py_items(object, "frozen");
    if (pair == NULL) {
        return -1;
    }
    int status = -1;
    if (PyTuple_GET_SIZE(pair) != 2) {
        PyErr_Format(PyExc_ValueError,
                     "frozen must be (params, units), as in set_frozen, found %zd items",
                     PyTuple_GET_SIZE(pair));
    } else {
        status = read_masks(freeze, self, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1));
    }
    Py_DECREF(pair);
    return status;
}

void mtf_py_freeze_clear(mtf_py_freeze *freeze)
{
    Py_CLEAR(freeze->params);
    Py_CLEAR(freeze->units);
}

PyObject *mtf_py_set_frozen(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"params", "units", NULL};
    PyObject *params, *units;
    mtf_py_freeze freeze = {.given = NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:set_frozen", keywords, &params, &units) ||
        read_masks(&freeze, self, params, units) < 0) {
        return NULL;
    }
    const mtf_freeze_mask *mask = &freeze.mask;
    mtf_error err = {MTF_OK, ""};
    mtf_status status = mtf_model_set_frozen(self->model, mask->params, mask->n_params, mask->units,
                                             mask->n_units, &err);
    mtf_py_freeze_clear(&freeze);
    if (status != MTF_OK) {
        return mtf_py_raise(self->state, status, &err);
    }
    Py_RETURN_NONE;
}

PyObject *mtf_py_set_precision(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"params", NULL};
    PyObject *params_object;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:set_precision", keywords, &params_object)) {
        return NULL;
    }
    const size_t n_params = mtf_model_n_params(self->model);
    PyArrayObject *params = mtf_py_codes(params_object, "params", n_params);
    if (params == NULL) {
        return NULL;
    }
    mtf_error err = {MTF_OK, ""};
    mtf_status status = mtf_model_set_precision(self->model, PyArray_DATA(params), n_params, &err);
    Py_DECREF(params);
    if (status != MTF_OK) {
        return mtf_py_raise(self->state, status, &err);
    }
    Py_RETURN_NONE;
}
