/* What batches of a model consist of: its inputs and its row spaces, as lists and by name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

#include <string.h>

static PyObject *space_result(mtf_py_model *self, size_t index)
{
    mtf_space_info info;
    mtf_model_get_space(self->model, index, &info);
    PyObject *fields[] = {PyUnicode_FromString(info.name),
                          PyLong_FromLongLong(info.max_length),
                          PyBool_FromLong(info.of_heads),
                          PyLong_FromLongLong(info.row_cost),
                          PyLong_FromLongLong(info.rows_per_token),
                          PyBool_FromLong(info.is_grid),
                          PyLong_FromLongLong(info.height),
                          PyLong_FromLongLong(info.width),
                          info.of != NULL ? PyUnicode_FromString(info.of) : Py_NewRef(Py_None),
                          PyLong_FromLongLong(info.kernel),
                          PyLong_FromLongLong(info.stride),
                          PyLong_FromLongLong(info.padding),
                          PyBool_FromLong(info.ceil),
                          PyLong_FromLongLong(info.extra),
                          PyLong_FromLongLong(info.fixed)};
    return mtf_py_result(self->state, MTF_PY_SPACE_INFO, fields);
}

static PyObject *input_result(mtf_py_model *self, size_t index)
{
    mtf_input_info info;
    mtf_model_get_input(self->model, index, &info);
    PyObject *fields[] = {PyUnicode_FromString(info.name), PyUnicode_FromString(info.space),
                          PyLong_FromLongLong(info.width), PyLong_FromLongLong(info.limit),
                          PyBool_FromLong(info.optional)};
    return mtf_py_result(self->state, MTF_PY_INPUT_INFO, fields);
}

PyObject *mtf_py_spaces(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":spaces", keywords)) {
        return NULL;
    }
    return mtf_py_list_of(self, mtf_model_n_spaces(self->model), space_result);
}

PyObject *mtf_py_inputs(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":inputs", keywords)) {
        return NULL;
    }
    return mtf_py_list_of(self, mtf_model_n_inputs(self->model), input_result);
}

/* ---- by name ---------------------------------------------------------------------------------- */

static const char *input_name(const mtf_model *model, size_t index)
{
    mtf_input_info info;
    mtf_model_get_input(model, index, &info);
    return info.name;
}

/* Of the row spaces that have offsets. */
static const char *space_name(const mtf_model *model, size_t index)
{
    mtf_space_info info;
    mtf_model_get_space(model, index + 1, &info);
    return info.name;
}

int mtf_py_find_input(const mtf_py_model *self, const char *name, mtf_input_info *info)
{
    const size_t n = mtf_model_n_inputs(self->model);
    for (size_t i = 0; i < n; i++) {
        mtf_model_get_input(self->model, i, info);
        if (strcmp(info->name, name) == 0) {
            return 0;
        }
    }
    mtf_py_raise_unknown(self, "input", name, n, input_name);
    return -1;
}

int mtf_py_find_space(const mtf_py_model *self, const char *name, mtf_space_info *info)
{
    const size_t n = mtf_model_n_spaces(self->model) - 1;
    for (size_t i = 0; i < n; i++) {
        mtf_model_get_space(self->model, i + 1, info);
        if (strcmp(info->name, name) == 0) {
            return 0;
        }
    }
    mtf_py_raise_unknown(self, "row space with offsets", name, n, space_name);
    return -1;
}
