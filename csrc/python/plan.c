/* The plan of a freeze choice as numbers: the same plan that the runner executes; and its prefix.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

static PyObject *unit_plan_result(const mtf_py_state *state, const mtf_plan_unit *unit)
{
    PyObject *fields[] = {PyFloat_FromDouble(unit->forward_flops),
                          PyFloat_FromDouble(unit->dx_flops),
                          PyFloat_FromDouble(unit->dw_flops),
                          PyLong_FromUnsignedLongLong(unit->saved_bytes),
                          PyBool_FromLong(unit->runs),
                          PyBool_FromLong(unit->in_prefix),
                          PyBool_FromLong(unit->dropout)};
    return mtf_py_result(state, MTF_PY_UNIT_PLAN, fields);
}

static PyObject *unit_plan_tuple(const mtf_py_state *state, const mtf_plan_unit *units, size_t n)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)n);
    for (size_t i = 0; tuple != NULL && i < n; i++) {
        PyObject *item = unit_plan_result(state, &units[i]);
        if (item == NULL) {
            Py_CLEAR(tuple);
        } else {
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, item);
        }
    }
    return tuple;
}

static PyObject *plan_result(const mtf_py_state *state, const mtf_plan_info *info,
                             const mtf_plan_unit *units, size_t n_units)
{
    PyObject *fields[] = {PyFloat_FromDouble(info->forward_flops),
                          PyFloat_FromDouble(info->prefix_flops),
                          PyFloat_FromDouble(info->dx_flops),
                          PyFloat_FromDouble(info->dw_flops),
                          PyLong_FromUnsignedLongLong(info->weight_bytes),
                          PyLong_FromUnsignedLongLong(info->form_bytes),
                          PyLong_FromUnsignedLongLong(info->gradient_bytes),
                          PyLong_FromUnsignedLongLong(info->moment_bytes),
                          PyLong_FromUnsignedLongLong(info->row_bytes),
                          PyLong_FromUnsignedLongLong(info->saved_bytes),
                          PyLong_FromUnsignedLongLong(info->activation_grad_bytes),
                          PyLong_FromUnsignedLongLong(info->worker_bytes),
                          PyLong_FromUnsignedLongLong(info->shared_bytes),
                          PyLong_FromLongLong(info->n_trainable),
                          PyLong_FromLongLong(info->n_values),
                          PyBool_FromLong(info->couples),
                          PyLong_FromLong(info->n_forward),
                          PyLong_FromLong(info->n_backward),
                          unit_plan_tuple(state, units, n_units)};
    return mtf_py_result(state, MTF_PY_PLAN_INFO, fields);
}

PyObject *mtf_py_prefix(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"outputs", "training", "frozen", NULL};
    PyObject *outputs_object, *frozen_object = Py_None;
    int training;
    mtf_py_names outputs;
    mtf_py_freeze frozen;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Op|O:prefix", keywords, &outputs_object,
                                     &training, &frozen_object) ||
        mtf_py_freeze_init(&frozen, self, frozen_object) < 0) {
        return NULL;
    }
    if (mtf_py_names_init(&outputs, outputs_object, "outputs") < 0) {
        mtf_py_freeze_clear(&frozen);
        return NULL;
    }
    size_t n = 0;
    const char *names[MTF_MAX_FEATURES];
    mtf_error err = {MTF_OK, ""};
    mtf_status status = mtf_model_get_prefix(self->model, training, outputs.n, outputs.names,
                                             frozen.given, &n, names, &err);
    mtf_py_names_clear(&outputs);
    mtf_py_freeze_clear(&frozen);
    if (status != MTF_OK) {
        return mtf_py_raise(self->state, status, &err);
    }
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list != NULL && i < n; i++) {
        PyObject *name = PyUnicode_FromString(names[i]);
        if (name == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, (Py_ssize_t)i, name);
        }
    }
    return list;
}

/* Fills what the arguments say and asks the core; units (n_units). */
static mtf_status ask(mtf_py_model *self, mtf_plan_request *request, const mtf_py_offsets *offsets,
                      mtf_plan_info *info, mtf_plan_unit *units, mtf_error *err)
{
    mtf_status status;
    request->n_sequences = offsets->n_sequences;
    request->n_spaces = offsets->n;
    request->spaces = offsets->spaces;
    Py_BEGIN_ALLOW_THREADS status = mtf_model_get_plan(self->model, request, info, units, err);
    Py_END_ALLOW_THREADS return status;
}

PyObject *mtf_py_plan(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"outputs",      "training",  "offsets",   "widths", "features",
                               "token_budget", "precision", "save_bf16", "frozen", NULL};
    PyObject *outputs_object, *offsets_object = NULL, *features_object = NULL, *budget = NULL;
    PyObject *widths_object = Py_None;
    PyObject *precision = Py_None, *frozen_object = Py_None;
    mtf_plan_request request = {.training = -1, .token_budget = 4096};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$pOOOOOpO:plan", keywords, &outputs_object,
                                     &request.training, &offsets_object, &widths_object,
                                     &features_object, &budget, &precision, &request.save_bf16,
                                     &frozen_object)) {
        return NULL;
    }
    request.precision = request.training ? MTF_PRECISION_F32 : MTF_AS_FROZEN;
    if (request.training < 0 || offsets_object == NULL) {
        PyErr_SetString(PyExc_TypeError, "plan() needs the keyword arguments training and offsets");
        return NULL;
    }
    if ((budget != NULL && mtf_py_int64(budget, "token_budget", &request.token_budget) < 0) ||
        (precision != Py_None && mtf_py_int(precision, "precision", &request.precision) < 0)) {
        return NULL;
    }
    PyObject *result = NULL;
    const size_t n_units = mtf_model_n_units(self->model);
    mtf_py_names outputs = {NULL, 0, NULL}, features = {NULL, 0, NULL};
    mtf_plan_unit *units = NULL;
    mtf_py_offsets offsets = {.keep = NULL};
    mtf_py_freeze frozen = {.given = NULL};
    if (mtf_py_freeze_init(&frozen, self, frozen_object) < 0 ||
        mtf_py_offsets_init(&offsets, self, offsets_object, widths_object) < 0 ||
        mtf_py_names_init(&outputs, outputs_object, "outputs") < 0 ||
        (features_object != NULL &&
         mtf_py_names_init(&features, features_object, "features") < 0)) {
        goto end;
    }
    units = PyMem_Calloc(n_units + 1, sizeof(*units));
    if (units == NULL) {
        PyErr_NoMemory();
        goto end;
    }
    request.n_outputs = outputs.n;
    request.outputs = outputs.names;
    request.n_features = features.n;
    request.features = features.names;
    request.frozen = frozen.given;
    mtf_plan_info info = {.forward_flops = 0.0};
    mtf_error err = {MTF_OK, ""};
    mtf_status status = ask(self, &request, &offsets, &info, units, &err);
    if (status == MTF_OK) {
        result = plan_result(self->state, &info, units, n_units);
    } else {
        mtf_py_raise(self->state, status, &err);
    }
end:
    PyMem_Free(units);
    mtf_py_names_clear(&features);
    mtf_py_names_clear(&outputs);
    mtf_py_offsets_clear(&offsets);
    mtf_py_freeze_clear(&frozen);
    return result;
}
