/* A Python mapping -> the core's configuration: keys are str; values are numbers, booleans, texts
 * or sequences of integers. Which keys and values mean something is the core's business.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

static mtf_status set_ints(mtf_config *config, const char *key, PyObject *value)
{
    PyObject *items = mtf_py_items(value, key);
    if (items == NULL) {
        return MTF_ERR_VALUE;
    }
    size_t n = (size_t)PyTuple_GET_SIZE(items);
    mtf_status status = MTF_ERR_MEMORY;
    int64_t *values = PyMem_Calloc(n + 1, sizeof(*values));
    if (values == NULL) {
        PyErr_NoMemory();
        goto end;
    }
    for (size_t i = 0; i < n; i++) {
        if (mtf_py_int64(PyTuple_GET_ITEM(items, (Py_ssize_t)i), key, &values[i]) < 0) {
            status = MTF_ERR_VALUE;
            goto end;
        }
    }
    status = mtf_config_set_ints(config, key, values, n);
end:
    PyMem_Free(values);
    Py_DECREF(items);
    return status;
}

/* A status that is not MTF_OK may come with a Python exception already set. */
static mtf_status set_value(mtf_config *config, const char *key, PyObject *value)
{
    if (PyBool_Check(value) || PyArray_IsScalar(value, Bool)) {
        return mtf_config_set_bool(config, key, PyObject_IsTrue(value)); /* which cannot fail */
    }
    if (PyUnicode_Check(value)) {
        const char *text = mtf_py_text(value, key);
        return text == NULL ? MTF_ERR_VALUE : mtf_config_set_text(config, key, text);
    }
    if (PyList_Check(value) || PyTuple_Check(value)) {
        return set_ints(config, key, value);
    }
    if (PyFloat_Check(value) || PyArray_IsScalar(value, Floating)) {
        double number;
        return mtf_py_double(value, key, &number) < 0 ? MTF_ERR_VALUE
                                                      : mtf_config_set_real(config, key, number);
    }
    if (PyLong_Check(value) || PyArray_IsScalar(value, Integer)) {
        int64_t number;
        return mtf_py_int64(value, key, &number) < 0 ? MTF_ERR_VALUE
                                                     : mtf_config_set_int(config, key, number);
    }
    PyErr_Format(PyExc_TypeError,
                 "configuration key '%.100s' must be a number, a bool, a str or a list of "
                 "integers, found %.100s",
                 key, Py_TYPE(value)->tp_name);
    return MTF_ERR_VALUE;
}

mtf_config *mtf_py_config_new(const mtf_py_state *state, PyObject *mapping)
{
    if (mapping == Py_None) {
        PyErr_SetString(PyExc_TypeError, "config must be a mapping, found None");
        return NULL;
    }
    PyObject *pairs = mtf_py_pairs(mapping, "config");
    if (pairs == NULL) {
        return NULL;
    }
    mtf_config *config = mtf_config_new();
    if (config == NULL) {
        Py_DECREF(pairs);
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(pairs); i++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, i);
        const char *key = mtf_py_text(PyTuple_GET_ITEM(pair, 0), "a configuration key");
        mtf_status status =
            key == NULL ? MTF_ERR_VALUE : set_value(config, key, PyTuple_GET_ITEM(pair, 1));
        if (status != MTF_OK) {
            if (!PyErr_Occurred()) {
                mtf_py_raise(state, status, NULL);
            }
            mtf_config_free(config);
            config = NULL;
            break;
        }
    }
    Py_DECREF(pairs);
    return config;
}
