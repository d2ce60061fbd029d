/* The extension module mtfreeze._core: multi-phase initialisation, heap types, state per module.
 *
 * The core behind it is one per process (kernel table, threads, BLAS), so the module says that it
 * does not go into sub-interpreters.
 * SPDX-License-Identifier: Apache-2.0 */
#define MTF_PY_IMPORTS_ARRAY
#include "binding.h"

static int module_exec(PyObject *module)
{
    import_array1(-1);
    mtf_py_state *state = PyModule_GetState(module);
    if (mtf_py_errors_init(state) < 0 || mtf_py_results_init(state, module) < 0) {
        return -1;
    }
    PyObject *type = PyType_FromModuleAndSpec(module, &mtf_py_model_spec, NULL);
    if (type == NULL) {
        return -1;
    }
    Py_XSETREF(state->model_type, (PyTypeObject *)type);
    PyObject *bracket = PyType_FromModuleAndSpec(module, &mtf_py_bracket_spec, NULL);
    int added = bracket == NULL ? -1 : PyModule_AddType(module, (PyTypeObject *)bracket);
    Py_XDECREF(bracket);
    if (added < 0) {
        return -1;
    }
    if (PyModule_AddType(module, state->model_type) < 0 ||
        PyModule_AddIntConstant(module, "IGNORE_LABEL", MTF_IGNORE_LABEL) < 0 ||
        PyModule_AddStringConstant(module, "VERSION", MTF_VERSION_TEXT) < 0 ||
        PyModule_AddObjectRef(module, "WITH_OPENBLAS", MTF_WITH_OPENBLAS ? Py_True : Py_False) <
            0) {
        return -1;
    }
    return 0;
}

/* CPython calls the next three only once there is a state. */
static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    mtf_py_state *state = PyModule_GetState(module);
    for (int i = 0; i < MTF_PY_N_EXCEPTIONS; i++) {
        Py_VISIT(state->exceptions[i]);
    }
    for (int i = 0; i < MTF_PY_N_RESULTS; i++) {
        Py_VISIT(state->results[i]);
    }
    Py_VISIT(state->model_type);
    Py_VISIT(state->check);
    return 0;
}

static int module_clear(PyObject *module)
{
    mtf_py_state *state = PyModule_GetState(module);
    for (int i = 0; i < MTF_PY_N_EXCEPTIONS; i++) {
        Py_CLEAR(state->exceptions[i]);
    }
    for (int i = 0; i < MTF_PY_N_RESULTS; i++) {
        Py_CLEAR(state->results[i]);
    }
    Py_CLEAR(state->model_type);
    Py_CLEAR(state->check);
    return 0;
}

static void module_free(void *module)
{
    module_clear(module);
}

PyDoc_STRVAR(module_doc, "The C core of mtfreeze; see mtfreeze/_core.pyi.");

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)(uintptr_t)module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL}};

static PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "mtfreeze._core",
    .m_doc = module_doc,
    .m_size = sizeof(mtf_py_state),
    .m_methods = mtf_py_module_functions,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&module_def);
}
