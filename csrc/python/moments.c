/* Gradients and optimizer state of single tensors, read as copies and written.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

/* Parses a method's only argument, the index of a parameter, and looks that up. */
static int parse_index(const mtf_py_model *self, PyObject *args, PyObject *kwargs,
                       const char *format, size_t *index, mtf_param_info *info)
{
    static char *keywords[] = {"index", NULL};
    PyObject *index_object;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, keywords, &index_object) ||
        mtf_py_param_index(self, index_object, index) < 0) {
        return -1;
    }
    mtf_model_get_param(self->model, *index, info);
    return 0;
}

PyObject *mtf_py_gradient(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    size_t index;
    mtf_param_info info;
    if (parse_index(self, args, kwargs, "O:gradient", &index, &info) < 0) {
        return NULL;
    }
    const mtf_real *gradient = mtf_train_get_gradient(self->model, index);
    if (gradient == NULL) {
        Py_RETURN_NONE;
    }
    return mtf_py_param_copy(&info, gradient);
}

PyObject *mtf_py_set_gradient(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    return mtf_py_set_values(self, args, kwargs, "OO:set_gradient", mtf_train_set_gradient);
}

PyObject *mtf_py_get_state(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    size_t index;
    mtf_param_info info;
    if (parse_index(self, args, kwargs, "O:state", &index, &info) < 0) {
        return NULL;
    }
    const mtf_real *moment1 = NULL, *moment2 = NULL;
    int64_t n_steps = 0;
    mtf_train_get_state(self->model, index, &moment1, &moment2, &n_steps);
    if (moment1 == NULL || moment2 == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *parts[3] = {mtf_py_param_copy(&info, moment1), mtf_py_param_copy(&info, moment2),
                          PyLong_FromLongLong(n_steps)};
    PyObject *state = NULL;
    if (parts[0] != NULL && parts[1] != NULL && parts[2] != NULL) {
        state = PyTuple_Pack(3, parts[0], parts[1], parts[2]);
    }
    for (int i = 0; i < 3; i++) {
        Py_XDECREF(parts[i]);
    }
    return state;
}

PyObject *mtf_py_set_state(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"index", "moment1", "moment2", "n_steps", NULL};
    PyObject *index_object, *moment1_object, *moment2_object, *steps_object;
    size_t index;
    int64_t n_steps;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOO:set_state", keywords, &index_object,
                                     &moment1_object, &moment2_object, &steps_object) ||
        mtf_py_param_index(self, index_object, &index) < 0 ||
        mtf_py_int64(steps_object, "n_steps", &n_steps) < 0) {
        return NULL;
    }
    mtf_param_info info;
    mtf_model_get_param(self->model, index, &info);
    PyArrayObject *moment1 = mtf_py_param_floats(moment1_object, "moment1", &info);
    if (moment1 == NULL) {
        return NULL;
    }
    PyArrayObject *moment2 = mtf_py_param_floats(moment2_object, "moment2", &info);
    if (moment2 == NULL) {
        Py_DECREF(moment1);
        return NULL;
    }
    mtf_error err = {MTF_OK, ""};
    mtf_status status;
    Py_BEGIN_ALLOW_THREADS status =
        mtf_train_set_state(self->model, index, PyArray_DATA(moment1), PyArray_DATA(moment2),
                            (size_t)info.size, n_steps, &err);
    Py_END_ALLOW_THREADS Py_DECREF(moment1);
    Py_DECREF(moment2);
    if (status != MTF_OK) {
        return mtf_py_raise(self->state, status, &err);
    }
    Py_RETURN_NONE;
}
