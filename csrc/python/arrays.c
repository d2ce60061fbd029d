/* NumPy arrays in and out.
 *
 * Integer arguments (ids, offsets, labels) index memory, so they are copied: nobody can change
 * them once they are checked; so are targets, whose floats may be labels. Other float arguments are
 * borrowed where dtype and layout fit and converted once where not. Only real ndarrays are taken; subclasses are read as plain arrays.
 * NumPy's own dtypes are there from the start: asking for one does not fail.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

#include <string.h>

static PyArrayObject *as_array(PyObject *object, const char *what)
{
    if (!PyArray_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be a numpy.ndarray, found %.100s", what,
                     Py_TYPE(object)->tp_name);
        return NULL;
    }
    return (PyArrayObject *)object;
}

static PyArrayObject *as_vector(PyObject *object, const char *what)
{
    PyArrayObject *array = as_array(object, what);
    if (array != NULL && PyArray_NDIM(array) != 1) {
        PyErr_Format(PyExc_ValueError, "%s must have one dimension, found %d", what,
                     PyArray_NDIM(array));
        return NULL;
    }
    return array;
}

/* A new plain C-ordered copy in another dtype, without asking whether values survive. */
static PyArrayObject *copy_as(PyArrayObject *array, int type)
{
    return (PyArrayObject *)PyArray_FromArray(array, PyArray_DescrFromType(type),
                                              NPY_ARRAY_CARRAY | NPY_ARRAY_FORCECAST |
                                                  NPY_ARRAY_ENSURECOPY | NPY_ARRAY_ENSUREARRAY);
}

PyArrayObject *mtf_py_int64_copy(PyObject *object, const char *what)
{
    PyArrayObject *array = as_vector(object, what);
    if (array == NULL) {
        return NULL;
    }
    if (!PyArray_ISINTEGER(array)) {
        PyErr_Format(PyExc_TypeError, "%s must have an integer dtype, found %S", what,
                     PyArray_DESCR(array));
        return NULL;
    }
    int is_unsigned = PyArray_ISUNSIGNED(array) && PyArray_ITEMSIZE(array) == 8;
    PyArrayObject *copy = copy_as(array, is_unsigned ? NPY_UINT64 : NPY_INT64);
    if (copy == NULL || !is_unsigned) {
        return copy;
    }
    const uint64_t *values = PyArray_DATA(copy);
    for (npy_intp i = 0; i < PyArray_SIZE(copy); i++) {
        if (values[i] > INT64_MAX) {
            PyErr_Format(PyExc_ValueError, "%s[%zd] is %llu, which does not fit in int64", what,
                         (Py_ssize_t)i, (unsigned long long)values[i]);
            Py_DECREF(copy);
            return NULL;
        }
    }
    Py_SETREF(copy, (PyArrayObject *)PyArray_View(copy, PyArray_DescrFromType(NPY_INT64), NULL));
    return copy;
}

PyArrayObject *mtf_py_int32_copy(PyObject *object, const char *what)
{
    PyArrayObject *array = as_vector(object, what);
    if (array == NULL) {
        return NULL;
    }
    if (PyArray_ISINTEGER(array) && !PyArray_ISUNSIGNED(array) && PyArray_ITEMSIZE(array) <= 4) {
        return copy_as(array, NPY_INT32);
    }
    PyArrayObject *wide = mtf_py_int64_copy(object, what);
    if (wide == NULL) {
        return NULL;
    }
    npy_intp n = PyArray_SIZE(wide);
    PyArrayObject *narrow = (PyArrayObject *)PyArray_SimpleNew(1, &n, NPY_INT32);
    if (narrow != NULL) {
        const int64_t *from = PyArray_DATA(wide);
        int32_t *to = PyArray_DATA(narrow);
        for (npy_intp i = 0; i < n; i++) {
            if (from[i] < INT32_MIN || from[i] > INT32_MAX) {
                PyErr_Format(PyExc_ValueError, "%s[%zd] is %lld, which does not fit in int32", what,
                             (Py_ssize_t)i, (long long)from[i]);
                Py_CLEAR(narrow);
                break;
            }
            to[i] = (int32_t)from[i];
        }
    }
    Py_DECREF(wide);
    return narrow;
}

PyArrayObject *mtf_py_mask(PyObject *object, const char *what, size_t n)
{
    PyArrayObject *array = as_vector(object, what);
    if (array == NULL) {
        return NULL;
    }
    if (!PyArray_ISBOOL(array) && PyArray_TYPE(array) != NPY_UINT8) {
        PyErr_Format(PyExc_TypeError, "%s must have dtype bool or uint8, found %S", what,
                     PyArray_DESCR(array));
        return NULL;
    }
    if ((size_t)PyArray_SIZE(array) != n) {
        PyErr_Format(PyExc_ValueError, "%s must have %zu elements, found %zd", what, n,
                     (Py_ssize_t)PyArray_SIZE(array));
        return NULL;
    }
    PyArrayObject *copy = copy_as(array, NPY_UINT8);
    if (copy == NULL) {
        return NULL;
    }
    const uint8_t *values = PyArray_DATA(copy);
    for (size_t i = 0; i < n; i++) {
        if (values[i] > 1) {
            PyErr_Format(PyExc_ValueError, "%s[%zu] must be 0 or 1, found %d", what, i, values[i]);
            Py_DECREF(copy);
            return NULL;
        }
    }
    return copy;
}

PyArrayObject *mtf_py_codes(PyObject *object, const char *what, size_t n)
{
    PyArrayObject *array = as_vector(object, what);
    if (array == NULL) {
        return NULL;
    }
    if (PyArray_TYPE(array) != NPY_UINT8) {
        PyErr_Format(PyExc_TypeError, "%s must have dtype uint8, found %S", what,
                     PyArray_DESCR(array));
        return NULL;
    }
    if ((size_t)PyArray_SIZE(array) != n) {
        PyErr_Format(PyExc_ValueError, "%s must have %zu elements, found %zd", what, n,
                     (Py_ssize_t)PyArray_SIZE(array));
        return NULL;
    }
    return copy_as(array, NPY_UINT8);
}

/* Raises: this shape was expected. */
static void raise_shape(PyArrayObject *array, const char *what, int n_dims, const npy_intp *shape)
{
    PyObject *expected = PyArray_IntTupleFromIntp(n_dims, shape);
    PyObject *found = PyArray_IntTupleFromIntp(PyArray_NDIM(array), PyArray_DIMS(array));
    if (expected != NULL && found != NULL) {
        PyErr_Format(PyExc_ValueError, "%s must have shape %R, found %R", what, expected, found);
    }
    Py_XDECREF(expected);
    Py_XDECREF(found);
}

static PyArrayObject *floats(PyObject *object, const char *what, int type, int n_dims,
                             const npy_intp *shape, int more_flags)
{
    PyArrayObject *array = as_array(object, what);
    if (array == NULL) {
        return NULL;
    }
    if (!PyArray_ISFLOAT(array) && !PyArray_ISINTEGER(array) && !PyArray_ISBOOL(array)) {
        PyErr_Format(PyExc_TypeError, "%s must have a real number dtype, found %S", what,
                     PyArray_DESCR(array));
        return NULL;
    }
    if (PyArray_NDIM(array) != n_dims ||
        !PyArray_CompareLists(PyArray_DIMS(array), shape, n_dims)) {
        raise_shape(array, what, n_dims, shape);
        return NULL;
    }
    return (PyArrayObject *)PyArray_FromArray(array, PyArray_DescrFromType(type),
                                              NPY_ARRAY_CARRAY_RO | NPY_ARRAY_FORCECAST |
                                                  NPY_ARRAY_ENSUREARRAY | more_flags);
}

PyArrayObject *mtf_py_floats(PyObject *object, const char *what, int type, int n_dims,
                             const npy_intp *shape)
{
    return floats(object, what, type, n_dims, shape, 0);
}

PyArrayObject *mtf_py_floats_copy(PyObject *object, const char *what, int type, int n_dims,
                                  const npy_intp *shape)
{
    return floats(object, what, type, n_dims, shape, NPY_ARRAY_ENSURECOPY);
}

static void param_shape(const mtf_param_info *info, npy_intp *shape)
{
    for (int32_t i = 0; i < info->n_dims; i++) {
        shape[i] = (npy_intp)info->shape[i];
    }
}

PyArrayObject *mtf_py_param_floats(PyObject *object, const char *what, const mtf_param_info *info)
{
    npy_intp shape[MTF_MAX_DIMS];
    param_shape(info, shape);
    return mtf_py_floats(object, what, NPY_FLOAT32, info->n_dims, shape);
}

PyObject *mtf_py_param_copy(const mtf_param_info *info, const mtf_real *values)
{
    npy_intp shape[MTF_MAX_DIMS];
    param_shape(info, shape);
    PyObject *copy = PyArray_SimpleNew(info->n_dims, shape, NPY_FLOAT32);
    if (copy != NULL) {
        memcpy(PyArray_DATA((PyArrayObject *)copy), values, (size_t)info->size * sizeof(*values));
    }
    return copy;
}

static void release_values(PyObject *capsule)
{
    mtf_values_release(PyCapsule_GetPointer(capsule, NULL));
}

/* Called with the weak reference to a view that is gone. Nobody else owns the reference, which owns this
 * callback, which owns the capsule. */
static PyObject *let_go(PyObject *capsule, PyObject *reference)
{
    (void)capsule;
    Py_DECREF(reference);
    Py_RETURN_NONE;
}

static PyMethodDef let_go_method = {"let_go", let_go, METH_O, NULL};

/* Holds the memory behind a view for as long as the view lives: its base, the model, stays, but a head
 * may be removed. Takes over `values`. */
static int hold_for(PyObject *view, mtf_values *values)
{
    PyObject *capsule = PyCapsule_New(values, NULL, release_values);
    if (capsule == NULL) {
        mtf_values_release(values);
        return -1;
    }
    PyObject *callback = PyCFunction_New(&let_go_method, capsule);
    Py_DECREF(capsule);
    if (callback == NULL) {
        return -1;
    }
    PyObject *reference = PyWeakref_NewRef(view, callback);
    Py_DECREF(callback);
    return reference != NULL ? 0 : -1;
}

PyObject *mtf_py_param_view(mtf_py_model *self, size_t index)
{
    mtf_param_info info;
    mtf_model_get_param(self->model, index, &info);
    npy_intp shape[MTF_MAX_DIMS];
    param_shape(&info, shape);
    /* Neither writeable nor the array's own: NumPy asks the base before it lets anyone write, and
     * a model has no buffer to give. */
    union {
        const mtf_real *in;
        void *out;
    } data = {.in = info.data};
    PyObject *view =
        PyArray_NewFromDescr(&PyArray_Type, PyArray_DescrFromType(NPY_FLOAT32), info.n_dims, shape,
                             NULL, data.out, NPY_ARRAY_CARRAY_RO, NULL);
    if (view == NULL) {
        return NULL;
    }
    if (PyArray_SetBaseObject((PyArrayObject *)view, Py_NewRef((PyObject *)self)) < 0 ||
        hold_for(view, mtf_model_hold_values(self->model, index)) < 0) {
        Py_DECREF(view);
        return NULL;
    }
    return view;
}
