/* Names, numbers and mappings from Python objects, with messages that name the argument.
 *
 * Numbers that do not fit are ValueErrors, wrong types TypeErrors; nothing is guessed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

#include <limits.h>
#include <string.h>

const char *mtf_py_text(PyObject *object, const char *what)
{
    if (!PyUnicode_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be a str, found %.100s", what,
                     Py_TYPE(object)->tp_name);
        return NULL;
    }
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(object, &size);
    if (text != NULL && strlen(text) != (size_t)size) {
        PyErr_Format(PyExc_ValueError, "%s must not contain a NUL character", what);
        return NULL;
    }
    return text;
}

/* The exact int behind an object that is one or has __index__. */
static PyObject *exact_int(PyObject *object, const char *what)
{
    if (!PyIndex_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be an integer, found %.100s", what,
                     Py_TYPE(object)->tp_name);
        return NULL;
    }
    return PyNumber_Index(object);
}

int mtf_py_int64(PyObject *object, const char *what, int64_t *value)
{
    PyObject *number = exact_int(object, what);
    if (number == NULL) {
        return -1;
    }
    int overflow = 0;
    long long wide = PyLong_AsLongLongAndOverflow(number, &overflow);
    Py_DECREF(number);
    if (overflow != 0) {
        PyErr_Format(PyExc_ValueError, "%s does not fit in a 64-bit integer", what);
        return -1;
    }
    *value = wide;
    return 0;
}

int mtf_py_int(PyObject *object, const char *what, int *value)
{
    int64_t wide;
    if (mtf_py_int64(object, what, &wide) < 0) {
        return -1;
    }
    if (wide < INT_MIN || wide > INT_MAX) {
        PyErr_Format(PyExc_ValueError, "%s is out of range, found %lld", what, (long long)wide);
        return -1;
    }
    *value = (int)wide;
    return 0;
}

int mtf_py_uint64(PyObject *object, const char *what, uint64_t *value)
{
    PyObject *number = exact_int(object, what);
    if (number == NULL) {
        return -1;
    }
    unsigned long long wide = PyLong_AsUnsignedLongLong(number);
    Py_DECREF(number);
    if (wide == (unsigned long long)-1 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError)) {
            PyErr_Format(PyExc_ValueError, "%s must be from 0 to 2**64 - 1", what);
        }
        return -1;
    }
    *value = wide;
    return 0;
}

int mtf_py_double(PyObject *object, const char *what, double *value)
{
    double number = PyFloat_AsDouble(object);
    if (number == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError)) {
            PyErr_Format(PyExc_ValueError, "%s is too large for a float", what);
        } else if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "%s must be a number, found %.100s", what,
                         Py_TYPE(object)->tp_name);
        }
        return -1;
    }
    *value = number;
    return 0;
}

PyObject *mtf_py_items(PyObject *object, const char *what)
{
    if (!PyList_Check(object) && !PyTuple_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be a list or a tuple, found %.100s", what,
                     Py_TYPE(object)->tp_name);
        return NULL;
    }
    return PySequence_Tuple(object);
}

PyObject *mtf_py_pairs(PyObject *object, const char *what)
{
    if (object == Py_None) {
        return PyTuple_New(0);
    }
    PyObject *list = PyMapping_Items(object);
    if (list == NULL) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError)) { /* no items() */
            PyErr_Format(PyExc_TypeError, "%s must be a mapping, found %.100s", what,
                         Py_TYPE(object)->tp_name);
        }
        return NULL;
    }
    PyObject *pairs = PySequence_Tuple(list);
    Py_DECREF(list);
    for (Py_ssize_t i = 0; pairs != NULL && i < PyTuple_GET_SIZE(pairs); i++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, i);
        if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
            PyErr_Format(PyExc_TypeError, "items() of %s must give (key, value) pairs", what);
            Py_CLEAR(pairs);
        }
    }
    return pairs;
}

/* Raises if a name comes twice: an output is computed into one place. */
static int check_distinct(PyObject *names, const char *what)
{
    PyObject *set = PyFrozenSet_New(names);
    if (set == NULL) {
        return -1;
    }
    Py_ssize_t n_distinct = PySet_Size(set);
    Py_DECREF(set);
    if (n_distinct != PyTuple_GET_SIZE(names)) {
        PyErr_Format(PyExc_ValueError, "%s must name each output once, found %R", what, names);
        return -1;
    }
    return 0;
}

int mtf_py_names_init(mtf_py_names *names, PyObject *object, const char *what)
{
    memset(names, 0, sizeof(*names));
    names->keep = mtf_py_items(object, what);
    if (names->keep == NULL) {
        return -1;
    }
    names->n = (size_t)PyTuple_GET_SIZE(names->keep);
    names->names = PyMem_Calloc(names->n + 1, sizeof(*names->names));
    if (names->names == NULL) {
        PyErr_NoMemory();
        goto fail;
    }
    for (size_t i = 0; i < names->n; i++) {
        names->names[i] = mtf_py_text(PyTuple_GET_ITEM(names->keep, (Py_ssize_t)i), what);
        if (names->names[i] == NULL) {
            goto fail;
        }
    }
    if (check_distinct(names->keep, what) < 0) {
        goto fail;
    }
    return 0;
fail:
    mtf_py_names_clear(names);
    return -1;
}

void mtf_py_names_clear(mtf_py_names *names)
{
    PyMem_Free(names->names);
    names->names = NULL;
    names->n = 0;
    Py_CLEAR(names->keep);
}
