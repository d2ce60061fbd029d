/* Losses and injected gradients from Python, checked against the outputs of a model and a batch.
 *
 * A loss is (output, targets, number), or has one or two more parts, None where there is none:
 * its kind, which without a name is that of the head, and its settings. Targets are int32 labels (N,)
 * or float32 rows (N, width) as the kind says. Settings are (label_smoothing, focal, temperature,
 * soft_share, class weights (width of the output,) float64 or None);
 * an injection is output -> gradient (N, width).
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

#include <string.h>

/* Targets (N,) of classes as a private copy, or (N, width) of values, one row a row of the output. */
static PyArrayObject *read_targets(PyObject *object, const mtf_loss_info *loss,
                                   const mtf_output_info *info, const mtf_py_batch *batch)
{
    const npy_intp n_rows = mtf_py_output_rows(info, batch);
    if (loss->type == MTF_TARGET_ROWS) {
        const npy_intp shape[2] = {n_rows, (npy_intp)loss->width};
        return mtf_py_floats_copy(object, "targets", NPY_FLOAT32, 2, shape);
    }
    PyArrayObject *labels = mtf_py_int32_copy(object, "labels");
    if (labels != NULL && PyArray_DIM(labels, 0) != n_rows) {
        PyErr_Format(PyExc_ValueError,
                     "labels of '%s' must have %zd elements, one for each of its %s, found %zd",
                     info->name, (Py_ssize_t)n_rows, info->space,
                     (Py_ssize_t)PyArray_DIM(labels, 0));
        Py_CLEAR(labels);
    }
    return labels;
}

/* Part number `i` of a loss; NULL where it has none, or None. */
static PyObject *optional_part(PyObject *parts, Py_ssize_t i)
{
    PyObject *part = i < PyTuple_GET_SIZE(parts) ? PyTuple_GET_ITEM(parts, i) : NULL;
    return part != Py_None ? part : NULL;
}

/* The name of the kind of a loss; *kind stays NULL where there is none. */
static int read_kind(PyObject *parts, const char **kind)
{
    PyObject *part = optional_part(parts, 3);
    if (part != NULL) {
        *kind = mtf_py_text(part, "the kind of a loss");
        return *kind != NULL ? 0 : -1;
    }
    return 0;
}

/* The settings of a loss into *into, `n_columns` those of its output; *settings stays NULL where
 * there are none. `keep` owns the class weights. */
static int read_settings(PyObject *parts, npy_intp n_columns, PyObject *keep,
                         mtf_loss_settings *into, const mtf_loss_settings **settings)
{
    PyObject *part = optional_part(parts, 4);
    if (part == NULL) {
        return 0;
    }
    PyObject *items = mtf_py_items(part, "the settings of a loss");
    if (items == NULL) {
        return -1;
    }
    int failed = -1;
    *into = (mtf_loss_settings){.n_class_weights = 0};
    if (PyTuple_GET_SIZE(items) != 5) {
        PyErr_Format(PyExc_ValueError,
                     "settings of a loss must be (label_smoothing, focal, temperature, soft_share, "
                     "class_weights), found %zd elements",
                     PyTuple_GET_SIZE(items));
    } else if (mtf_py_double(PyTuple_GET_ITEM(items, 0), "label_smoothing",
                             &into->label_smoothing) == 0 &&
               mtf_py_double(PyTuple_GET_ITEM(items, 1), "focal", &into->focal) == 0 &&
               mtf_py_double(PyTuple_GET_ITEM(items, 2), "temperature", &into->temperature) == 0 &&
               mtf_py_double(PyTuple_GET_ITEM(items, 3), "soft_share", &into->soft_share) == 0) {
        failed = 0;
        *settings = into;
    }
    PyObject *given = failed == 0 ? PyTuple_GET_ITEM(items, 4) : Py_None;
    if (given != Py_None) {
        PyArrayObject *weights = mtf_py_floats(given, "class weights", NPY_FLOAT64, 1, &n_columns);
        failed = weights == NULL || PyList_Append(keep, (PyObject *)weights) < 0 ? -1 : 0;
        if (failed == 0) {
            into->class_weights = PyArray_DATA(weights);
            into->n_class_weights = n_columns;
        }
        Py_XDECREF(weights);
    }
    Py_DECREF(items);
    return failed;
}

/* Reads one loss into losses->items[i]. */
static int read_loss(mtf_py_losses *losses, size_t i, const mtf_py_model *self, PyObject *object,
                     const mtf_py_batch *batch)
{
    PyObject *parts = mtf_py_items(object, "a loss");
    if (parts == NULL) {
        return -1;
    }
    int failed = PyList_Append(losses->keep, parts); /* owns the name */
    Py_DECREF(parts);
    if (failed < 0) {
        return -1;
    }
    if (PyTuple_GET_SIZE(parts) < 3 || PyTuple_GET_SIZE(parts) > 5) {
        PyErr_Format(PyExc_ValueError,
                     "a loss must be (output, targets, number[, kind[, settings]]), found %zd "
                     "elements",
                     PyTuple_GET_SIZE(parts));
        return -1;
    }
    const char *name = mtf_py_text(PyTuple_GET_ITEM(parts, 0), "the output of a loss");
    mtf_output_info info;
    if (name == NULL || mtf_py_find_output(self, name, &info) < 0) {
        return -1;
    }
    double number;
    const char *kind = NULL;
    const mtf_loss_settings *settings = NULL;
    if (mtf_py_double(PyTuple_GET_ITEM(parts, 2), "the number of a loss", &number) < 0 ||
        read_kind(parts, &kind) < 0 ||
        read_settings(parts, (npy_intp)info.width, losses->keep, &losses->settings[i], &settings) <
            0) {
        return -1;
    }
    mtf_loss_info loss;
    mtf_error err = {MTF_OK, ""};
    mtf_status status = mtf_model_get_loss(self->model, name, kind, &loss, &err);
    if (status != MTF_OK) {
        mtf_py_raise(self->state, status, &err);
        return -1;
    }
    PyArrayObject *targets = read_targets(PyTuple_GET_ITEM(parts, 1), &loss, &info, batch);
    if (targets == NULL) {
        return -1;
    }
    failed = PyList_Append(losses->keep, (PyObject *)targets);
    Py_DECREF(targets);
    if (failed < 0) {
        return -1;
    }
    losses->items[i] = (mtf_loss){.output = name,
                                  .kind = loss.kind,
                                  .type = loss.type,
                                  .targets = PyArray_DATA(targets),
                                  .weight = number,
                                  .settings = settings};
    losses->scales[i] = number;
    return 0;
}

int mtf_py_losses_init(mtf_py_losses *losses, const mtf_py_model *self, PyObject *object,
                       const mtf_py_batch *batch)
{
    memset(losses, 0, sizeof(*losses));
    PyObject *items = mtf_py_items(object, "losses");
    if (items == NULL) {
        return -1;
    }
    losses->n = (size_t)PyTuple_GET_SIZE(items);
    losses->keep = PyList_New(0);
    losses->items = PyMem_Calloc(losses->n + 1, sizeof(*losses->items));
    losses->settings = PyMem_Calloc(losses->n + 1, sizeof(*losses->settings));
    losses->scales = PyMem_Calloc(losses->n + 1, sizeof(*losses->scales));
    losses->values = PyMem_Calloc(losses->n + 1, sizeof(*losses->values));
    losses->counts = PyMem_Calloc(losses->n + 1, sizeof(*losses->counts));
    if (losses->keep == NULL || losses->items == NULL || losses->settings == NULL ||
        losses->scales == NULL || losses->values == NULL || losses->counts == NULL) {
        PyErr_NoMemory();
        goto fail;
    }
    for (size_t i = 0; i < losses->n; i++) {
        if (read_loss(losses, i, self, PyTuple_GET_ITEM(items, (Py_ssize_t)i), batch) < 0) {
            goto fail;
        }
    }
    Py_DECREF(items);
    return 0;
fail:
    Py_DECREF(items);
    mtf_py_losses_clear(losses);
    return -1;
}

void mtf_py_losses_clear(mtf_py_losses *losses)
{
    PyMem_Free(losses->items);
    PyMem_Free(losses->settings);
    PyMem_Free(losses->scales);
    PyMem_Free(losses->values);
    PyMem_Free(losses->counts);
    Py_XDECREF(losses->keep);
    memset(losses, 0, sizeof(*losses));
}

int mtf_py_injections_init(mtf_py_injections *injections, const mtf_py_model *self,
                           PyObject *object, const mtf_py_batch *batch)
{
    memset(injections, 0, sizeof(*injections));
    PyObject *pairs = mtf_py_pairs(object, "injections");
    if (pairs == NULL) {
        return -1;
    }
    injections->n = (size_t)PyTuple_GET_SIZE(pairs);
    injections->keep = PyList_New(0);
    injections->items = PyMem_Calloc(injections->n + 1, sizeof(*injections->items));
    if (injections->keep == NULL || injections->items == NULL) {
        PyErr_NoMemory();
        goto fail;
    }
    if (PyList_Append(injections->keep, pairs) < 0) {
        goto fail;
    }
    for (size_t i = 0; i < injections->n; i++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, (Py_ssize_t)i);
        const char *name = mtf_py_text(PyTuple_GET_ITEM(pair, 0), "the output of an injection");
        mtf_output_info info;
        if (name == NULL || mtf_py_find_output(self, name, &info) < 0) {
            goto fail;
        }
        npy_intp shape[2] = {mtf_py_output_rows(&info, batch), (npy_intp)info.width};
        PyArrayObject *grad =
            mtf_py_floats(PyTuple_GET_ITEM(pair, 1), "an injected gradient", NPY_FLOAT32, 2, shape);
        if (grad == NULL) {
            goto fail;
        }
        int failed = PyList_Append(injections->keep, (PyObject *)grad);
        Py_DECREF(grad);
        if (failed < 0) {
            goto fail;
        }
        injections->items[i] = (mtf_injection){.output = name, .grad = PyArray_DATA(grad)};
    }
    Py_DECREF(pairs);
    return 0;
fail:
    Py_DECREF(pairs);
    mtf_py_injections_clear(injections);
    return -1;
}

void mtf_py_injections_clear(mtf_py_injections *injections)
{
    PyMem_Free(injections->items);
    Py_XDECREF(injections->keep);
    memset(injections, 0, sizeof(*injections));
}
