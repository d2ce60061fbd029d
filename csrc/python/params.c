/* Methods over what a model consists of: heads, parameters, units, outputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

PyObject *mtf_py_add_head(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"name", "config", "seed", NULL};
    PyObject *name_object, *mapping, *seed_object = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|O:add_head", keywords, &name_object,
                                     &mapping, &seed_object)) {
        return NULL;
    }
    const char *name = mtf_py_text(name_object, "name");
    uint64_t seed = 0;
    if (name == NULL || (seed_object != NULL && mtf_py_uint64(seed_object, "seed", &seed) < 0)) {
        return NULL;
    }
    mtf_config *config = mtf_py_config_new(self->state, mapping);
    if (config == NULL) {
        return NULL;
    }
    mtf_error err = {MTF_OK, ""};
    mtf_status status;
    Py_BEGIN_ALLOW_THREADS status = mtf_model_add_head(self->model, name, config, seed, &err);
    Py_END_ALLOW_THREADS mtf_config_free(config);
    if (status != MTF_OK) {
        return mtf_py_raise(self->state, status, &err);
    }
    Py_RETURN_NONE;
}

PyObject *mtf_py_remove_head(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"name", NULL};
    PyObject *name_object;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:remove_head", keywords, &name_object)) {
        return NULL;
    }
    const char *name = mtf_py_text(name_object, "name");
    if (name == NULL) {
        return NULL;
    }
    mtf_error err = {MTF_OK, ""};
    mtf_status status = mtf_model_remove_head(self->model, name, &err);
    if (status != MTF_OK) {
        return mtf_py_raise(self->state, status, &err);
    }
    Py_RETURN_NONE;
}

PyObject *mtf_py_set_adapter(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"config", "seed", NULL};
    PyObject *mapping, *seed_object = NULL;
    uint64_t seed = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:set_adapter", keywords, &mapping,
                                     &seed_object) ||
        (seed_object != NULL && mtf_py_uint64(seed_object, "seed", &seed) < 0)) {
        return NULL;
    }
    mtf_config *config = NULL;
    if (mapping != Py_None) {
        config = mtf_py_config_new(self->state, mapping);
        if (config == NULL) {
            return NULL;
        }
    }
    mtf_error err = {MTF_OK, ""};
    mtf_status status;
    Py_BEGIN_ALLOW_THREADS status = mtf_model_set_adapter(self->model, config, seed, &err);
    Py_END_ALLOW_THREADS mtf_config_free(config);
    if (status != MTF_OK) {
        return mtf_py_raise(self->state, status, &err);
    }
    Py_RETURN_NONE;
}

static PyObject *shape_tuple(const mtf_param_info *info)
{
    npy_intp shape[MTF_MAX_DIMS];
    for (int32_t i = 0; i < info->n_dims; i++) {
        shape[i] = (npy_intp)info->shape[i];
    }
    return PyArray_IntTupleFromIntp(info->n_dims, shape);
}

PyObject *mtf_py_param_result(const mtf_py_state *state, const mtf_param_info *info)
{
    PyObject *fields[] = {PyUnicode_FromString(info->key),
                          PyLong_FromLong(info->unit),
                          shape_tuple(info),
                          PyLong_FromLongLong(info->size),
                          PyLong_FromUnsignedLongLong(info->version),
                          PyBool_FromLong(info->decays),
                          PyBool_FromLong(info->in_products),
                          PyBool_FromLong(info->convolves),
                          PyBool_FromLong(info->is_buffer),
                          PyBool_FromLong(info->moves),
                          PyBool_FromLong(info->frozen),
                          PyLong_FromLong((long)info->precision),
                          PyLong_FromLongLong(info->n_steps),
                          mtf_py_texts(info->aliases, (size_t)info->n_aliases)};
    return mtf_py_result(state, MTF_PY_PARAM_INFO, fields);
}

static PyObject *param_result(mtf_py_model *self, size_t index)
{
    mtf_param_info info;
    mtf_model_get_param(self->model, index, &info);
    return mtf_py_param_result(self->state, &info);
}

static PyObject *unit_result(mtf_py_model *self, size_t index)
{
    mtf_unit_info info;
    mtf_model_get_unit(self->model, index, &info);
    PyObject *fields[] = {
        PyUnicode_FromString(info.path),    PyBool_FromLong(info.is_head),
        PyLong_FromLong(info.first_param),  PyLong_FromLong(info.n_params),
        PyLong_FromLongLong(info.n_values), PyLong_FromLongLong(info.n_values_frozen),
        PyBool_FromLong(info.frozen)};
    return mtf_py_result(self->state, MTF_PY_UNIT_INFO, fields);
}

static PyObject *output_result(mtf_py_model *self, size_t index)
{
    mtf_output_info info;
    mtf_model_get_output(self->model, index, &info);
    PyObject *fields[] = {PyUnicode_FromString(info.name), PyUnicode_FromString(info.space),
                          PyLong_FromLongLong(info.width), PyLong_FromLong(info.tensor)};
    return mtf_py_result(self->state, MTF_PY_OUTPUT_INFO, fields);
}

PyObject *mtf_py_params(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":params", keywords)) {
        return NULL;
    }
    return mtf_py_list_of(self, mtf_model_n_params(self->model), param_result);
}

PyObject *mtf_py_units(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":units", keywords)) {
        return NULL;
    }
    return mtf_py_list_of(self, mtf_model_n_units(self->model), unit_result);
}

PyObject *mtf_py_outputs(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":outputs", keywords)) {
        return NULL;
    }
    return mtf_py_list_of(self, mtf_model_n_outputs(self->model), output_result);
}

PyObject *mtf_py_view(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"index", NULL};
    PyObject *index_object;
    size_t index;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:view", keywords, &index_object) ||
        mtf_py_param_index(self, index_object, &index) < 0) {
        return NULL;
    }
    return mtf_py_param_view(self, index);
}

PyObject *mtf_py_set_values(mtf_py_model *self, PyObject *args, PyObject *kwargs,
                            const char *format, mtf_py_setter set)
{
    static char *keywords[] = {"index", "values", NULL};
    PyObject *index_object, *values_object;
    size_t index;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, keywords, &index_object,
                                     &values_object) ||
        mtf_py_param_index(self, index_object, &index) < 0) {
        return NULL;
    }
    mtf_param_info info;
    mtf_model_get_param(self->model, index, &info);
    PyArrayObject *values = mtf_py_param_floats(values_object, "values", &info);
    if (values == NULL) {
        return NULL;
    }
    mtf_error err = {MTF_OK, ""};
    mtf_status status;
    Py_BEGIN_ALLOW_THREADS status =
        set(self->model, index, PyArray_DATA(values), (size_t)info.size, &err);
    Py_END_ALLOW_THREADS Py_DECREF(values);
    if (status != MTF_OK) {
        return mtf_py_raise(self->state, status, &err);
    }
    Py_RETURN_NONE;
}

PyObject *mtf_py_set_param(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    return mtf_py_set_values(self, args, kwargs, "OO:set_param", mtf_model_set_param);
}
