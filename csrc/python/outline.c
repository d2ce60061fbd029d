/* What a model would consist of, before it is made.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

/* Adds the heads of a tuple of (name, configuration) pairs. */
static int add_heads(const mtf_py_state *state, mtf_outline *outline, PyObject *pairs)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(pairs); i++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, i);
        const char *name = mtf_py_text(PyTuple_GET_ITEM(pair, 0), "a head's name");
        mtf_config *config =
            name == NULL ? NULL : mtf_py_config_new(state, PyTuple_GET_ITEM(pair, 1));
        if (config == NULL) {
            return -1;
        }
        mtf_error err = {MTF_OK, ""};
        mtf_status status = mtf_outline_add_head(outline, name, config, &err);
        mtf_config_free(config);
        if (status != MTF_OK) {
            mtf_py_raise(state, status, &err);
            return -1;
        }
    }
    return 0;
}

/* List of the parameters' infos. */
static PyObject *params_of(const mtf_py_state *state, const mtf_outline *outline)
{
    size_t n = mtf_outline_n_params(outline);
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list != NULL && i < n; i++) {
        mtf_param_info info;
        mtf_outline_get_param(outline, i, &info);
        PyObject *item = mtf_py_param_result(state, &info);
        if (item == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
        }
    }
    return list;
}

PyObject *mtf_py_outline(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"config", "heads", NULL};
    PyObject *mapping, *heads;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:outline", keywords, &mapping, &heads)) {
        return NULL;
    }
    const mtf_py_state *state = PyModule_GetState(module);
    PyObject *pairs = mtf_py_pairs(heads, "heads");
    mtf_config *config = pairs == NULL ? NULL : mtf_py_config_new(state, mapping);
    PyObject *params = NULL;
    if (config != NULL) {
        mtf_error err = {MTF_OK, ""};
        mtf_outline *outline = NULL;
        mtf_status status = mtf_outline_new(config, &outline, &err);
        if (status != MTF_OK) {
            mtf_py_raise(state, status, &err);
        } else if (add_heads(state, outline, pairs) == 0) {
            params = params_of(state, outline);
        }
        mtf_outline_free(outline);
        mtf_config_free(config);
    }
    Py_XDECREF(pairs);
    return params;
}
