/* What the heap of the core holds: of the whole process, and of one model.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

static PyObject *memory_info(mtf_py_state *state, const mtf_memory_info *info)
{
    PyObject *fields[] = {PyLong_FromUnsignedLongLong(info->n_allocations),
                          PyLong_FromUnsignedLongLong(info->bytes_now),
                          PyLong_FromUnsignedLongLong(info->bytes_peak)};
    return mtf_py_result(state, MTF_PY_MEMORY_INFO, fields);
}

PyObject *mtf_py_process_memory(PyObject *module, PyObject *unused)
{
    (void)unused;
    mtf_memory_info info;
    mtf_memory_get(&info);
    return memory_info(PyModule_GetState(module), &info);
}

PyObject *mtf_py_reset_process_peak(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    mtf_memory_reset_peak();
    Py_RETURN_NONE;
}

PyObject *mtf_py_memory_info(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":memory_info", keywords)) {
        return NULL;
    }
    mtf_memory_info info;
    mtf_account_get(self->account, &info);
    return memory_info(self->state, &info);
}

PyObject *mtf_py_reset_peak_memory(mtf_py_model *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":reset_peak_memory", keywords)) {
        return NULL;
    }
    mtf_account_reset_peak(self->account);
    Py_RETURN_NONE;
}
