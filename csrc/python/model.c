/* The type mtfreeze._core.Model: construction, lock, parameter indexes, end of life.
 *
 * A Model owns one mtf_model and a reference to the module (whose state it uses). Parameter views
 * keep the Model alive, never the other way round, so that no cycle runs through it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

#include <time.h>
#include <unistd.h>

Py_ssize_t mtf_py_n_running(mtf_py_state *state)
{
    const long process = (long)getpid();
    if (state->process != process) {
        state->process = process;
        state->n_running = 0;
    }
    return state->n_running;
}

/* Naps of 50 us for which a call waits for one that reads: 2 s, longer than any read takes. */
#define PATIENCE 40000

/* Takes the model unless somebody works on it, or this thread itself is in a method of it: argument
 * conversion may run Python code. */
static int take(mtf_py_model *self, mtf_py_use use)
{
    const unsigned long thread = PyThread_get_thread_ident();
    const long process = (long)getpid();
    int left = MTF_PY_READS; /* by a thread of the process that this one was forked from */
    if (self->process != process) {
        atomic_compare_exchange_strong(&self->use, &left, MTF_PY_FREE);
    }
    for (int nap = 0; nap < PATIENCE; nap++) {
        int found = MTF_PY_FREE;
        if (atomic_compare_exchange_strong(&self->use, &found, (int)use)) {
            atomic_store(&self->reader, use == MTF_PY_READS ? thread : 0);
            self->process = process;
            return 1;
        }
        if (found != MTF_PY_READS || atomic_load(&self->reader) == thread) {
            return 0;
        }
        const struct timespec length = {0, 50000};
        Py_BEGIN_ALLOW_THREADS nanosleep(&length, NULL);
        Py_END_ALLOW_THREADS
    }
    return 0;
}

int mtf_py_enter(mtf_py_model *self, mtf_py_use use)
{
    if (!take(self, use)) {
        PyErr_SetString(self->state->exceptions[MTF_PY_CONCURRENCY_ERROR],
                        "this model is in use by another call, and one call at a time is allowed; "
                        "wait for it, or give each thread its own copy of the model");
        return -1;
    }
    self->state->n_running = mtf_py_n_running(self->state) + 1;
    self->outside = mtf_account_enter(self->account);
    return 0;
}

void mtf_py_leave(mtf_py_model *self)
{
    self->state->n_running = mtf_py_n_running(self->state) - 1;
    mtf_account_enter(self->outside);
    atomic_store(&self->reader, 0);
    atomic_store(&self->use, MTF_PY_FREE);
}

int mtf_py_runtime_ready(mtf_py_state *state)
{
    if (!state->runtime_ready) {
        mtf_error err = {MTF_OK, ""};
        mtf_status status = mtf_runtime_init(NULL, &err);
        if (status != MTF_OK) {
            mtf_py_raise(state, status, &err);
            return -1;
        }
        state->runtime_ready = 1;
    }
    return 0;
}

/* ---- parameter indexes ------------------------------------------------------------------------ */

int mtf_py_param_index(const mtf_py_model *self, PyObject *object, size_t *index)
{
    int64_t position;
    if (mtf_py_int64(object, "index", &position) < 0) {
        return -1;
    }
    size_t n = mtf_model_n_params(self->model);
    if (position < 0 || (uint64_t)position >= n) {
        PyErr_Format(PyExc_IndexError, "index must be from 0 to %zd, found %lld", (Py_ssize_t)n - 1,
                     (long long)position);
        return -1;
    }
    *index = (size_t)position;
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------- */

/* Builds the core's model in a new, locked object. */
static int build(mtf_py_model *self, PyObject *mapping)
{
    mtf_config *config = mtf_py_config_new(self->state, mapping);
    if (config == NULL) {
        return -1;
    }
    mtf_error err = {MTF_OK, ""};
    mtf_status status;
    Py_BEGIN_ALLOW_THREADS status = mtf_model_new(config, &self->model, &err);
    Py_END_ALLOW_THREADS mtf_config_free(config);
    if (status != MTF_OK) {
        mtf_py_raise(self->state, status, &err);
        return -1;
    }
    return 0;
}

static PyObject *model_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"config", NULL};
    PyObject *mapping;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Model", keywords, &mapping)) {
        return NULL;
    }
    PyObject *module = PyType_GetModule(type); /* the type has no subclasses */
    mtf_py_state *state = PyModule_GetState(module);
    if (mtf_py_runtime_ready(state) < 0) {
        return NULL;
    }
    mtf_py_model *self = (mtf_py_model *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->module = Py_NewRef(module);
    self->state = state;
    state->n_models++;
    int built = -1;
    mtf_error err = {MTF_OK, ""};
    const mtf_status status = mtf_account_new(&self->account, &err);
    if (status != MTF_OK) {
        mtf_py_raise(state, status, &err);
    } else if (mtf_py_enter(self, MTF_PY_WORKS) == 0) {
        built = build(self, mapping);
        mtf_py_leave(self);
    }
    if (built < 0) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static int model_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((mtf_py_model *)object)->module);
    return 0;
}

static void model_dealloc(PyObject *object)
{
    mtf_py_model *self = (mtf_py_model *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    mtf_model_free(self->model);
    mtf_account_free(self->account);
    mtf_py_batch_free(self->pending);
    self->state->n_models--;
    Py_DECREF(self->module);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *get_version(PyObject *object, void *closure)
{
    mtf_py_model *self = (mtf_py_model *)object;
    (void)closure;
    if (mtf_py_enter(self, MTF_PY_READS) < 0) {
        return NULL;
    }
    uint64_t version = mtf_model_version(self->model);
    mtf_py_leave(self);
    return PyLong_FromUnsignedLongLong(version);
}

static PyGetSetDef model_properties[] = {
    {"version", get_version, NULL,
     "Counter that set_param, set_frozen, add_head and remove_head raise; steps do not.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

PyDoc_STRVAR(model_doc,
             "Model(config)\n--\n\n"
             "One backbone and its heads. Parameter and unit indexes are positions in params()\n"
             "and units(). All parameters start at zero and trainable.\n\n"
             "config: flat keys of config.json that are numbers, booleans, texts or lists of\n"
             "integers, plus \"pooling\" and \"normalize\".");

static PyType_Slot model_slots[] = {{Py_tp_doc, (void *)(uintptr_t)model_doc},
                                    {Py_tp_new, model_new},
                                    {Py_tp_dealloc, model_dealloc},
                                    {Py_tp_traverse, model_traverse},
                                    {Py_tp_methods, mtf_py_model_methods},
                                    {Py_tp_getset, model_properties},
                                    {0, NULL}};

PyType_Spec mtf_py_model_spec = {
    .name = "mtfreeze._core.Model",
    .basicsize = sizeof(mtf_py_model),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = model_slots,
};
