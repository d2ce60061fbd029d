/* Module functions: kernel level, BLAS, threads, counters of memory and operations.
 *
 * They change what every model uses, so they keep the GIL and refuse while any model is at work;
 * the kernel level is fixed once a model exists.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

#include <limits.h>

static int refuse_while_running(mtf_py_state *state, const char *what)
{
    if (mtf_py_n_running(state) > 0) {
        PyErr_Format(state->exceptions[MTF_PY_CONCURRENCY_ERROR],
                     "%s must not be called while a model is at work in another thread", what);
        return -1;
    }
    return 0;
}

static PyObject *runtime_init(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"isa", NULL};
    PyObject *isa_object = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:runtime_init", keywords, &isa_object)) {
        return NULL;
    }
    mtf_py_state *state = PyModule_GetState(module);
    if (refuse_while_running(state, "runtime_init") < 0) {
        return NULL;
    }
    if (state->n_models > 0) {
        return PyErr_Format(state->exceptions[MTF_PY_ERROR],
                            "runtime_init must come before the first model, and %zd exist",
                            state->n_models);
    }
    const char *isa = NULL;
    if (isa_object != Py_None) {
        isa = mtf_py_text(isa_object, "isa");
        if (isa == NULL) {
            return NULL;
        }
    }
    mtf_error err = {MTF_OK, ""};
    mtf_status status = mtf_runtime_init(isa, &err);
    if (status != MTF_OK) {
        return mtf_py_raise(state, status, &err);
    }
    state->runtime_ready = 1;
    Py_RETURN_NONE;
}

static PyObject *load_blas(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"path", NULL};
    PyObject *path_object, *path = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:load_blas", keywords, &path_object)) {
        return NULL;
    }
    mtf_py_state *state = PyModule_GetState(module);
    if (refuse_while_running(state, "load_blas") < 0 || mtf_py_runtime_ready(state) < 0 ||
        !PyUnicode_FSConverter(path_object, &path)) {
        return NULL;
    }
    mtf_error err = {MTF_OK, ""};
    mtf_status status = mtf_runtime_load_blas(PyBytes_AS_STRING(path), &err);
    Py_DECREF(path);
    if (status != MTF_OK) {
        return mtf_py_raise(state, status, &err);
    }
    Py_RETURN_NONE;
}

static PyObject *runtime_info(PyObject *module, PyObject *unused)
{
    (void)unused;
    mtf_py_state *state = PyModule_GetState(module);
    if (mtf_py_runtime_ready(state) < 0) {
        return NULL;
    }
    mtf_runtime_info info;
    mtf_runtime_get_info(&info);
    PyObject *fields[] = {
        PyUnicode_FromString(info.isa),           PyUnicode_FromString(info.isa_compiled),
        PyUnicode_FromString(info.isa_available), mtf_py_texts(info.product_isa, MTF_N_PRECISIONS),
        PyUnicode_FromString(info.blas),          PyLong_FromLong(info.n_threads),
        PyBool_FromLong(info.blas_rows_checked)};
    return mtf_py_result(state, MTF_PY_RUNTIME_INFO, fields);
}

static PyObject *set_threads(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"n_threads", NULL};
    PyObject *number;
    int64_t n_threads;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:set_threads", keywords, &number) ||
        mtf_py_int64(number, "n_threads", &n_threads) < 0) {
        return NULL;
    }
    mtf_py_state *state = PyModule_GetState(module);
    if (refuse_while_running(state, "set_threads") < 0) {
        return NULL;
    }
    /* what does not fit an int is out of range just as well */
    int narrow = n_threads < INT_MIN || n_threads > INT_MAX ? 0 : (int)n_threads;
    mtf_error err = {MTF_OK, ""};
    mtf_status status = mtf_threads_set(narrow, &err);
    if (status != MTF_OK) {
        return mtf_py_raise(state, status, &err);
    }
    Py_RETURN_NONE;
}

static PyObject *get_threads(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyLong_FromLong(mtf_threads_get());
}

static PyObject *check_calls(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"check", NULL};
    PyObject *check;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:check_calls", keywords, &check)) {
        return NULL;
    }
    if (check != Py_None && !PyCallable_Check(check)) {
        PyErr_SetString(PyExc_TypeError, "check must be callable or None");
        return NULL;
    }
    mtf_py_state *state = PyModule_GetState(module);
    PyObject *earlier = state->check != NULL ? state->check : Py_NewRef(Py_None);
    state->check = check != Py_None ? Py_NewRef(check) : NULL;
    return earlier;
}

static PyObject *count_flops(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"on", NULL};
    int on;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "p:count_flops", keywords, &on) ||
        refuse_while_running(PyModule_GetState(module), "count_flops") < 0) {
        return NULL;
    }
    mtf_flops_count(on);
    Py_RETURN_NONE;
}

static PyObject *flops(PyObject *module, PyObject *unused)
{
    (void)unused;
    mtf_flops counted;
    mtf_flops_get(&counted);
    PyObject *fields[] = {PyFloat_FromDouble(counted.forward), PyFloat_FromDouble(counted.dx),
                          PyFloat_FromDouble(counted.dw)};
    return mtf_py_result(PyModule_GetState(module), MTF_PY_FLOPS, fields);
}

static PyObject *fail_allocation_after(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"n", NULL};
    PyObject *number;
    uint64_t n;
    (void)module;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:fail_allocation_after", keywords, &number) ||
        mtf_py_uint64(number, "n", &n) < 0) {
        return NULL;
    }
    mtf_memory_fail_after(n);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(runtime_init_doc,
             "runtime_init($module, /, isa=None)\n--\n\n"
             "Chooses the kernels: the named level, or MTFREEZE_ISA, or the best of this CPU.\n"
             "Only before the first model; ValueError names the levels that can be had.");
PyDoc_STRVAR(load_blas_doc,
             "load_blas($module, /, path)\n--\n\n"
             "Loads the OpenBLAS at an absolute path with local symbols and one thread. OSError:\n"
             "not usable, and the product in use stays. The same path again does nothing.");
PyDoc_STRVAR(runtime_info_doc,
             "runtime_info($module, /)\n--\n\n"
             "Kernel level, BLAS and threads in use, as a RuntimeInfo. Chooses the "
             "kernels if nobody has.");
PyDoc_STRVAR(set_threads_doc, "set_threads($module, /, n_threads)\n--\n\n"
                              "Worker threads of every model, 1 to 256.");
PyDoc_STRVAR(get_threads_doc, "get_threads($module, /)\n--\n\n"
                              "Worker threads of every model.");
PyDoc_STRVAR(
    check_calls_doc,
    "check_calls($module, /, check)\n--\n\n"
    "While a call of the core in the main thread takes long, `check` is called every some\n"
    "30 ms; what it raises ends the call. None: nothing is. Returns the earlier one.");
PyDoc_STRVAR(memory_info_doc, "memory_info($module, /)\n--\n\n"
                              "Heap of the core since the process began, as a MemoryInfo.");
PyDoc_STRVAR(reset_peak_memory_doc, "reset_peak_memory($module, /)\n--\n\n"
                                    "Starts memory_info().bytes_peak anew from bytes_now.");
PyDoc_STRVAR(count_flops_doc,
             "count_flops($module, /, on)\n--\n\n"
             "True: counts the floating-point operations of all models from zero; False: stops.");
PyDoc_STRVAR(flops_doc, "flops($module, /)\n--\n\n"
                        "Operations counted since count_flops(True), as Flops(forward, dx, dw).");
PyDoc_STRVAR(outline_doc, "outline($module, /, config, heads)\n--\n\n"
                          "The parameters, each a ParamInfo, that a model of this configuration\n"
                          "would have with these heads (name -> configuration); makes none.");
PyDoc_STRVAR(fail_allocation_after_doc,
             "fail_allocation_after($module, /, n)\n--\n\n"
             "Tests only: the n-th allocation from now fails once; 0 switches it off.");

PyDoc_STRVAR(
    loss_values_doc,
    "loss_values($module, /, kind, outputs, targets, offsets, parts=1)\n--\n\n"
    "The mean loss of each sequence by itself, (B,) float64, NaN where it has no target.\n"
    "outputs: float32 (N, width), `parts` answers side by side; targets: as the kind of loss\n"
    "takes them; offsets: (B + 1,), where the rows of each sequence begin.");
PyDoc_STRVAR(assignment_doc,
             "assignment($module, /, costs)\n--\n\n"
             "Column of each row, (n,) int64, all different and of the least total cost; -1 for\n"
             "rows without one, where n > m. costs: (n, m), finite.");
PyDoc_STRVAR(
    together_doc,
    "together($module, /, calls)\n--\n\n"
    "Calls functions without arguments one after another; returns what each gives. Where\n"
    "they are C functions, in functools.partial, no interrupt comes in between. The first\n"
    "that raises is the last that is called.");

/* METH_VARARGS | METH_KEYWORDS functions have another type than the table's; the cast is CPython's
 * own convention. */
#define WITH_KEYWORDS(function)                                                                    \
    (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS

PyMethodDef mtf_py_module_functions[] = {
    {"runtime_init", WITH_KEYWORDS(runtime_init), runtime_init_doc},
    {"load_blas", WITH_KEYWORDS(load_blas), load_blas_doc},
    {"runtime_info", runtime_info, METH_NOARGS, runtime_info_doc},
    {"set_threads", WITH_KEYWORDS(set_threads), set_threads_doc},
    {"get_threads", get_threads, METH_NOARGS, get_threads_doc},
    {"check_calls", WITH_KEYWORDS(check_calls), check_calls_doc},
    {"memory_info", mtf_py_process_memory, METH_NOARGS, memory_info_doc},
    {"reset_peak_memory", mtf_py_reset_process_peak, METH_NOARGS, reset_peak_memory_doc},
    {"count_flops", WITH_KEYWORDS(count_flops), count_flops_doc},
    {"flops", flops, METH_NOARGS, flops_doc},
    {"outline", WITH_KEYWORDS(mtf_py_outline), outline_doc},
    {"fail_allocation_after", WITH_KEYWORDS(fail_allocation_after), fail_allocation_after_doc},
    {"loss_values", WITH_KEYWORDS(mtf_py_loss_values), loss_values_doc},
    {"assignment", WITH_KEYWORDS(mtf_py_assignment), assignment_doc},
    {"together", WITH_KEYWORDS(mtf_py_together), together_doc},
    {NULL, NULL, 0, NULL}};
