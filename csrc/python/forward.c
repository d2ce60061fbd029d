/* Forward passes: inference (forward) and the first half of a training step (train_forward,
 * train_outputs).
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

/* What a forward pass is asked for. */
typedef struct {
    mtf_py_batch *batch;
    mtf_py_names names;
    output_arrays arrays;
} forward_call;

static void forward_call_clear(forward_call *call)
{
    output_arrays_clear(&call->arrays);
    mtf_py_names_clear(&call->names);
    mtf_py_batch_free(call->batch);
}

static int forward_call_init(forward_call *call, const mtf_py_model *self, PyObject *batch,
                             PyObject *names, const char *what)
{
    memset(call, 0, sizeof(*call));
    call->batch = mtf_py_batch_new(self, batch);
    if (call->batch == NULL || mtf_py_names_init(&call->names, names, what) < 0 ||
        output_arrays_init(&call->arrays, self, &call->names, call->batch) < 0) {
        forward_call_clear(call);
        return -1;
    }
    return 0;
}

/* The outputs, or the exception of a status; clears the call. */
static PyObject *forward_call_finish(forward_call *call, const mtf_py_model *self,
                                     mtf_status status, const mtf_error *err)
{
    PyObject *result = NULL;
    if (status == MTF_OK) {
        result = Py_NewRef(call->arrays.list);
    } else {
        mtf_py_raise(self->state, status, err);
    }
    forward_call_clear(call);
    return result;
}

PyObject *mtf_py_forward(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"batch", "outputs", "precision", NULL};
    PyObject *batch, *names, *number = NULL;
    int precision = MTF_AS_FROZEN;
    forward_call call;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|O:forward", keywords, &batch, &names,
                                     &number) ||
        (number != NULL && mtf_py_int(number, "precision", &precision) < 0) ||
        forward_call_init(&call, self, batch, names, "outputs") < 0) {
        return NULL;
    }
    mtf_error err = {MTF_OK, ""};
    mtf_status status;
    MTF_PY_WATCHED(status, mtf_model_forward(self->model, &call.batch->batch, call.names.n,
                                             call.arrays.outputs, precision, &err));
    return forward_call_finish(&call, self, status, &err);
}

/* After a forward of training: its batch stays with the model if it waits for its backward; that of
 * an earlier one goes. */
static void keep_pending(mtf_py_model *self, forward_call *call, int waits)
{
    mtf_py_batch_free(self->pending);
    self->pending = NULL;
    if (waits) {
        self->pending = call->batch;
        call->batch = NULL;
    }
}

PyObject *mtf_py_train_forward(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"batch", "wanted", "first_sequence", NULL};
    PyObject *batch, *names, *first = NULL;
    int64_t first_sequence = 0;
    forward_call call;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|O:train_forward", keywords, &batch, &names,
                                     &first) ||
        (first != NULL && mtf_py_int64(first, "first_sequence", &first_sequence) < 0) ||
        forward_call_init(&call, self, batch, names, "wanted") < 0) {
        return NULL;
    }
    mtf_error err = {MTF_OK, ""};
    mtf_status status;
    MTF_PY_WATCHED(status,
                   mtf_train_forward(self->model, &call.batch->batch, first_sequence, call.names.n,
                                     call.names.names, call.arrays.data, &err));
    keep_pending(self, &call, status == MTF_OK);
    return forward_call_finish(&call, self, status, &err);
}

PyObject *mtf_py_train_outputs(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"batch", "outputs", "token_budget", NULL};
    PyObject *batch, *names, *budget;
    int64_t token_budget;
    forward_call call;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO:train_outputs", keywords, &batch, &names,
                                     &budget) ||
        mtf_py_int64(budget, "token_budget", &token_budget) < 0 ||
        forward_call_init(&call, self, batch, names, "outputs") < 0) {
        return NULL;
    }
    mtf_error err = {MTF_OK, ""};
    mtf_status status;
    int waits = 0;
    MTF_PY_WATCHED(status, mtf_train_outputs(self->model, &call.batch->batch, call.names.n,
                                             call.arrays.outputs, token_budget, &waits, &err));
    keep_pending(self, &call, waits);
    PyObject *values = forward_call_finish(&call, self, status, &err);
    return values != NULL ? Py_BuildValue("(NO)", values, waits ? Py_True : Py_False) : NULL;
}
