/* Forward passes: inference (forward) and the first half of a training step (train_forward).
 *
 * Outputs are fresh arrays. The batch of train_forward stays with the model until train_backward,
 * because the core goes on reading it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

#include <string.h>

/* Fresh arrays for named outputs, as a list, with their places for the core. */
typedef struct {
    PyObject *list;
    mtf_output *outputs; /* (n) */
    mtf_real **data;     /* (n) */
} output_arrays;

static void output_arrays_clear(output_arrays *arrays)
{
    Py_XDECREF(arrays->list);
    PyMem_Free(arrays->outputs);
    PyMem_Free(arrays->data);
    memset(arrays, 0, sizeof(*arrays));
}

static int output_arrays_init(output_arrays *arrays, const mtf_py_model *self,
                              const mtf_py_names *names, const mtf_py_batch *batch)
{
    memset(arrays, 0, sizeof(*arrays));
    arrays->list = PyList_New((Py_ssize_t)names->n);
    arrays->outputs = PyMem_Calloc(names->n + 1, sizeof(*arrays->outputs));
    arrays->data = PyMem_Calloc(names->n + 1, sizeof(*arrays->data));
    if (arrays->list == NULL || arrays->outputs == NULL || arrays->data == NULL) {
        PyErr_NoMemory();
        goto fail;
    }
    for (size_t i = 0; i < names->n; i++) {
        mtf_output_info info;
        if (mtf_py_find_output(self, names->names[i], &info) < 0) {
            goto fail;
        }
        npy_intp shape[2] = {mtf_py_output_rows(&info, batch), (npy_intp)info.width};
        PyObject *array = PyArray_ZEROS(2, shape, NPY_FLOAT32, 0);
        if (array == NULL) {
            goto fail;
        }
        PyList_SET_ITEM(arrays->list, (Py_ssize_t)i, array);
        arrays->data[i] = PyArray_DATA((PyArrayObject *)array);
        arrays->outputs[i] = (mtf_output){.name = names->names[i], .data = arrays->data[i]};
    }
    return 0;
fail:
    output_arrays_clear(arrays);
    return -1;
}

PyObject *mtf_py_forward(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"batch", "outputs", NULL};
    PyObject *batch_object, *names_object;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:forward", keywords, &batch_object,
                                     &names_object)) {
        return NULL;
    }
    PyObject *result = NULL;
    mtf_py_names names = {NULL, 0, NULL};
    output_arrays arrays = {NULL, NULL, NULL};
    mtf_py_batch *batch = mtf_py_batch_new(self, batch_object);
    if (batch == NULL || mtf_py_names_init(&names, names_object, "outputs") < 0 ||
        output_arrays_init(&arrays, self, &names, batch) < 0) {
        goto end;
    }
    mtf_error err = {MTF_OK, ""};
    mtf_status status;
    Py_BEGIN_ALLOW_THREADS status =
        mtf_model_forward(self->model, &batch->batch, names.n, arrays.outputs, &err);
    Py_END_ALLOW_THREADS if (status != MTF_OK)
    {
        mtf_py_raise(self->state, status, &err);
        goto end;
    }
    result = Py_NewRef(arrays.list);
end:
    output_arrays_clear(&arrays);
    mtf_py_names_clear(&names);
    mtf_py_batch_free(batch);
    return result;
}

PyObject *mtf_py_train_forward(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"batch", "wanted", "first_sequence", NULL};
    PyObject *batch_object, *names_object, *first_object = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|O:train_forward", keywords, &batch_object,
                                     &names_object, &first_object)) {
        return NULL;
    }
    int64_t first_sequence = 0;
    if (first_object != NULL && mtf_py_int64(first_object, "first_sequence", &first_sequence) < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    mtf_py_names names = {NULL, 0, NULL};
    output_arrays arrays = {NULL, NULL, NULL};
    mtf_py_batch *batch = mtf_py_batch_new(self, batch_object);
    if (batch == NULL || mtf_py_names_init(&names, names_object, "wanted") < 0 ||
        output_arrays_init(&arrays, self, &names, batch) < 0) {
        goto end;
    }
    mtf_error err = {MTF_OK, ""};
    mtf_status status;
    Py_BEGIN_ALLOW_THREADS status = mtf_train_forward(self->model, &batch->batch, first_sequence,
                                                      names.n, names.names, arrays.data, &err);
    Py_END_ALLOW_THREADS mtf_py_batch_free(
        self->pending); /* of an earlier forward, which this one replaced */
    self->pending = NULL;
    if (status != MTF_OK) {
        mtf_py_raise(self->state, status, &err);
        goto end;
    }
    self->pending = batch;
    batch = NULL;
    result = Py_NewRef(arrays.list);
end:
    output_arrays_clear(&arrays);
    mtf_py_names_clear(&names);
    mtf_py_batch_free(batch);
    return result;
}
