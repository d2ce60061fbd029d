/* A training step: begin, backward, whole-batch gradients, apply, reset.
 *
 * A pending batch (forward.c) is what train_backward belongs to; whatever starts or drops a step
 * drops it too, so that the core is never asked to go on from a batch that is gone.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

static void drop_pending(mtf_py_model *self)
{
    mtf_py_batch_free(self->pending);
    self->pending = NULL;
}

/* Reads what the products of a step are made in. */
static int read_precision(PyObject *object, mtf_train_options *options)
{
    int precision = MTF_PRECISION_F32;
    if (object != NULL && mtf_py_int(object, "precision", &precision) < 0) {
        return -1;
    }
    options->precision = (mtf_precision)precision; /* the core looks whether there is such a one */
    return 0;
}

PyObject *mtf_py_train_begin(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"seed", "step", "dropout", "precision", "save_bf16", NULL};
    PyObject *seed_object, *step_object, *precision = NULL;
    mtf_train_options options = {.dropout = 1};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|pOp:train_begin", keywords, &seed_object,
                                     &step_object, &options.dropout, &precision,
                                     &options.save_bf16) ||
        read_precision(precision, &options) < 0 ||
        mtf_py_uint64(seed_object, "seed", &options.seed) < 0 ||
        mtf_py_uint64(step_object, "step", &options.step) < 0) {
        return NULL;
    }
    mtf_error err = {MTF_OK, ""};
    mtf_status status;
    drop_pending(self);
    Py_BEGIN_ALLOW_THREADS status = mtf_train_begin(self->model, &options, &err);
    Py_END_ALLOW_THREADS if (status != MTF_OK)
    {
        return mtf_py_raise(self->state, status, &err);
    }
    Py_RETURN_NONE;
}

/* List of n floats. */
static PyObject *float_list(const double *values, size_t n)
{
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list != NULL && i < n; i++) {
        PyObject *item = PyFloat_FromDouble(values[i]);
        if (item == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
        }
    }
    return list;
}

/* List of n ints. */
static PyObject *int_list(const int64_t *values, size_t n)
{
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list != NULL && i < n; i++) {
        PyObject *item = PyLong_FromLongLong(values[i]);
        if (item == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
        }
    }
    return list;
}

PyObject *mtf_py_train_backward(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"losses", "injections", NULL};
    PyObject *losses_object = NULL, *injections_object = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:train_backward", keywords, &losses_object,
                                     &injections_object)) {
        return NULL;
    }
    if (self->pending == NULL) {
        static const mtf_error NO_FORWARD = {
            MTF_ERR_STATE, "train_backward needs a train_forward before it, and there was none "
                           "since the last backward or the begin of the step"};
        return mtf_py_raise(self->state, MTF_ERR_STATE, &NO_FORWARD);
    }
    PyObject *result = NULL;
    mtf_py_losses losses = {.n = 0};
    mtf_py_injections injections = {.n = 0};
    PyObject *empty = PyTuple_New(0);
    if (empty == NULL ||
        mtf_py_losses_init(&losses, self, losses_object != NULL ? losses_object : empty,
                           self->pending) < 0 ||
        mtf_py_injections_init(&injections, self, injections_object, self->pending) < 0) {
        goto end;
    }
    mtf_error err = {MTF_OK, ""};
    mtf_status status;
    MTF_PY_WATCHED(status, mtf_train_backward(self->model, losses.n, losses.items, losses.scales,
                                              losses.values, injections.n, injections.items, &err));
    if (status != MTF_OK) {
        if (status == MTF_INTERRUPTED) { /* which ended the step */
            drop_pending(self);
        }
        mtf_py_raise(self->state, status, &err);
        goto end;
    }
    drop_pending(self);
    result = float_list(losses.values, losses.n);
end:
    mtf_py_injections_clear(&injections);
    mtf_py_losses_clear(&losses);
    Py_XDECREF(empty);
    return result;
}

/* (means, labelled rows) of a step. */
static PyObject *gradients_result(const mtf_py_losses *losses)
{
    PyObject *means = float_list(losses->values, losses->n);
    PyObject *counts = int_list(losses->counts, losses->n);
    PyObject *result = means != NULL && counts != NULL ? PyTuple_Pack(2, means, counts) : NULL;
    Py_XDECREF(means);
    Py_XDECREF(counts);
    return result;
}

PyObject *mtf_py_train_gradients(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"batch", "losses",  "injections", "token_budget", "seed",
                               "step",  "dropout", "precision",  "save_bf16",    NULL};
    PyObject *batch_object, *losses_object, *injections_object = Py_None;
    PyObject *budget_object = NULL, *seed_object = NULL, *step_object = NULL, *precision = NULL;
    mtf_train_options options = {.dropout = 1};
    int64_t token_budget = 4096;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|O$OOOpOp:train_gradients", keywords,
                                     &batch_object, &losses_object, &injections_object,
                                     &budget_object, &seed_object, &step_object, &options.dropout,
                                     &precision, &options.save_bf16) ||
        read_precision(precision, &options) < 0 ||
        (budget_object != NULL && mtf_py_int64(budget_object, "token_budget", &token_budget) < 0) ||
        (seed_object != NULL && mtf_py_uint64(seed_object, "seed", &options.seed) < 0) ||
        (step_object != NULL && mtf_py_uint64(step_object, "step", &options.step) < 0)) {
        return NULL;
    }
    PyObject *result = NULL;
    mtf_py_losses losses = {.n = 0};
    mtf_py_injections injections = {.n = 0};
    mtf_py_batch *batch = mtf_py_batch_new(self, batch_object);
    if (batch == NULL || mtf_py_losses_init(&losses, self, losses_object, batch) < 0 ||
        mtf_py_injections_init(&injections, self, injections_object, batch) < 0) {
        goto end;
    }
    mtf_error err = {MTF_OK, ""};
    mtf_status status;
    drop_pending(self);
    MTF_PY_WATCHED(status, mtf_train_gradients(self->model, &batch->batch, losses.n, losses.items,
                                               injections.n, injections.items, token_budget,
                                               &options, losses.values, losses.counts, &err));
    if (status != MTF_OK) {
        mtf_py_raise(self->state, status, &err);
        goto end;
    }
    result = gradients_result(&losses);
end:
    mtf_py_injections_clear(&injections);
    mtf_py_losses_clear(&losses);
    mtf_py_batch_free(batch);
    return result;
}

/* How many parameters an update steps. */
static size_t n_with_gradient(const mtf_py_model *self)
{
    size_t found = 0;
    for (size_t i = 0; i < mtf_model_n_params(self->model); i++) {
        found += mtf_train_get_gradient(self->model, i) != NULL;
    }
    return found;
}

/* Calls the core with the two arrays of numbers, one a parameter. */
static PyObject *apply(mtf_py_model *self, mtf_update *update, PyObject *rates_object,
                       PyObject *decays_object)
{
    npy_intp n = (npy_intp)mtf_model_n_params(self->model);
    PyArrayObject *rates = mtf_py_floats(rates_object, "learning_rate", NPY_FLOAT64, 1, &n);
    if (rates == NULL) {
        return NULL;
    }
    PyArrayObject *decays = mtf_py_floats(decays_object, "weight_decay", NPY_FLOAT64, 1, &n);
    if (decays == NULL) {
        Py_DECREF(rates);
        return NULL;
    }
    update->learning_rate = PyArray_DATA(rates);
    update->weight_decay = PyArray_DATA(decays);
    /* After the update nothing may fail: what says how it went is made before. */
    PyObject *norm = PyFloat_FromDouble(0.0), *clip = PyFloat_FromDouble(0.0);
    PyObject *fields[] = {norm, clip, PyLong_FromSize_t(n_with_gradient(self))};
    PyObject *result = mtf_py_result(self->state, MTF_PY_UPDATE_RESULT, fields);
    if (result != NULL) {
        mtf_update_result done = {.grad_norm = 0.0};
        mtf_error err = {MTF_OK, ""};
        mtf_status status;
        MTF_PY_WATCHED(status, mtf_train_apply(self->model, update, &done, &err));
        if (status != MTF_OK) {
            Py_CLEAR(result);
            mtf_py_raise(self->state, status, &err);
        } else {
            ((PyFloatObject *)norm)->ob_fval = done.grad_norm; /* nobody else has seen them */
            ((PyFloatObject *)clip)->ob_fval = done.clip;
        }
    }
    Py_DECREF(rates);
    Py_DECREF(decays);
    return result;
}

PyObject *mtf_py_train_apply(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"learning_rate", "weight_decay",  "beta1", "beta2",
                               "eps",           "max_grad_norm", NULL};
    PyObject *rates, *decays;
    PyObject *beta1 = NULL, *beta2 = NULL, *eps = NULL, *max_grad_norm = NULL;
    mtf_update update = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .max_grad_norm = 1.0};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$OOOO:train_apply", keywords, &rates,
                                     &decays, &beta1, &beta2, &eps, &max_grad_norm) ||
        (beta1 != NULL && mtf_py_double(beta1, "beta1", &update.beta1) < 0) ||
        (beta2 != NULL && mtf_py_double(beta2, "beta2", &update.beta2) < 0) ||
        (eps != NULL && mtf_py_double(eps, "eps", &update.eps) < 0) ||
        (max_grad_norm != NULL &&
         mtf_py_double(max_grad_norm, "max_grad_norm", &update.max_grad_norm) < 0)) {
        return NULL;
    }
    return apply(self, &update, rates, decays);
}

PyObject *mtf_py_train_reset(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":train_reset", keywords)) {
        return NULL;
    }
    mtf_train_reset(self->model);
    drop_pending(self);
    Py_RETURN_NONE;
}
