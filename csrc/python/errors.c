/* Core status -> Python exception, by one table.
 *
 * The classes come from mtfreeze.errors, so that Python and C raise the very same ones.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

#include <string.h>

static const char *const CLASS_NAMES[MTF_PY_N_EXCEPTIONS] = {
    [MTF_PY_ERROR] = "Error",
    [MTF_PY_CONFIG_ERROR] = "ConfigError",
    [MTF_PY_SELECTOR_ERROR] = "SelectorError",
    [MTF_PY_TRAINING_ERROR] = "TrainingError",
    [MTF_PY_CONCURRENCY_ERROR] = "ConcurrencyError",
};

int mtf_py_errors_init(mtf_py_state *state)
{
    PyObject *module = PyImport_ImportModule("mtfreeze.errors");
    if (module == NULL) {
        return -1;
    }
    for (int i = 0; i < MTF_PY_N_EXCEPTIONS; i++) {
        PyObject *exception = PyObject_GetAttrString(module, CLASS_NAMES[i]);
        if (exception == NULL) {
            Py_DECREF(module);
            return -1;
        }
        Py_XSETREF(state->exceptions[i], exception);
    }
    Py_DECREF(module);
    return 0;
}

/* Which exception, and what it says where the core gave no text. */
static PyObject *exception_of(const mtf_py_state *state, mtf_status status, const char **text)
{
    switch (status) {
    case MTF_ERR_VALUE:
        *text = "a value is outside what is allowed";
        return PyExc_ValueError;
    case MTF_ERR_SHAPE:
        *text = "the sizes of the arguments disagree";
        return PyExc_ValueError;
    case MTF_ERR_CONFIG:
        *text = "this configuration cannot be built";
        return state->exceptions[MTF_PY_CONFIG_ERROR];
    case MTF_ERR_NAME:
        *text = "there is nothing of that name in this model";
        return state->exceptions[MTF_PY_SELECTOR_ERROR];
    case MTF_ERR_MEMORY:
        *text = "out of memory; nothing was changed";
        return PyExc_MemoryError;
    case MTF_ERR_IO:
        *text = "a file could not be used";
        return PyExc_OSError;
    case MTF_ERR_NONFINITE:
        *text = "a loss, a gradient or an update is not finite; no weight was changed";
        return state->exceptions[MTF_PY_TRAINING_ERROR];
    case MTF_ERR_STATE:
        *text = "the calls come in the wrong order";
        return state->exceptions[MTF_PY_ERROR];
    case MTF_INTERRUPTED:
    case MTF_OK:
    default:
        *text = "the core gave a status that the binding does not know";
        return PyExc_SystemError;
    }
}

PyObject *mtf_py_raise(const mtf_py_state *state, mtf_status status, const mtf_error *err)
{
    const char *text;
    if (status == MTF_INTERRUPTED) {
        return NULL;
    }
    PyObject *exception = exception_of(state, status, &text);
    if (err != NULL && err->text[0] != '\0') {
        text = err->text;
    }
    /* a text cut at its limit may end inside a character */
    PyObject *message = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
    if (message != NULL) {
        PyErr_SetObject(exception, message);
        Py_DECREF(message);
    }
    return NULL;
}

void mtf_py_raise_unknown(const mtf_py_model *self, const char *kind, const char *name, size_t n,
                          const char *(*name_of)(const mtf_model *model, size_t index))
{
    PyObject *names = PyList_New(0);
    PyObject *comma = PyUnicode_FromString(", ");
    PyObject *all = NULL;
    for (size_t i = 0; names != NULL && i < n; i++) {
        PyObject *item = PyUnicode_FromString(name_of(self->model, i));
        if (item == NULL || PyList_Append(names, item) < 0) {
            Py_CLEAR(names);
        }
        Py_XDECREF(item);
    }
    if (names != NULL && comma != NULL) {
        all = PyUnicode_Join(comma, names);
    }
    if (all != NULL) {
        PyErr_Format(self->state->exceptions[MTF_PY_SELECTOR_ERROR],
                     "this model has no %s '%.200s'; it has: %U", kind, name, all);
    }
    Py_XDECREF(all);
    Py_XDECREF(comma);
    Py_XDECREF(names);
}
