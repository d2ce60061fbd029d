/* binding.h: what the files of the extension module mtfreeze._core share.
 *
 * csrc/python holds the extension module. Python calls it; it calls nothing but mtfreeze.h.
 *
 * A binding function parses, converts arrays, calls the core without the GIL, translates the
 * status and builds the result; it decides nothing and computes nothing. Every method of a model
 * runs under that model's lock (methods.c), so borrowed core pointers stay valid inside it even
 * where argument conversion runs Python code. Functions that return int give 0, or -1 with an
 * exception set; functions that return an object give NULL with an exception set.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MTF_PYTHON_BINDING_H
#define MTF_PYTHON_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define NPY_NO_DEPRECATED_API  NPY_1_23_API_VERSION
#define NPY_TARGET_VERSION     NPY_1_23_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL mtf_py_array_api
#ifndef MTF_PY_IMPORTS_ARRAY /* module.c alone defines and fills the table */
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include <stdatomic.h>
#include <stdint.h>

#include "../include/mtfreeze.h"

_Static_assert(sizeof(mtf_real) == sizeof(npy_float32), "the extension needs the float build");

/* ---- module state ---------------------------------------------------------------------------- */

/* The classes of mtfreeze.errors that the binding raises. */
enum {
    MTF_PY_ERROR,
    MTF_PY_CONFIG_ERROR,
    MTF_PY_SELECTOR_ERROR,
    MTF_PY_TRAINING_ERROR,
    MTF_PY_CONCURRENCY_ERROR,
    MTF_PY_N_EXCEPTIONS
};

/* The result types of results.c. */
enum {
    MTF_PY_PARAM_INFO,
    MTF_PY_UNIT_INFO,
    MTF_PY_SPACE_INFO,
    MTF_PY_INPUT_INFO,
    MTF_PY_OUTPUT_INFO,
    MTF_PY_NODE_INFO,
    MTF_PY_UNIT_PLAN,
    MTF_PY_PLAN_INFO,
    MTF_PY_UPDATE_RESULT,
    MTF_PY_RUNTIME_INFO,
    MTF_PY_MEMORY_INFO,
    MTF_PY_FLOPS,
    MTF_PY_N_RESULTS
};

typedef struct mtf_py_state {
    PyObject *exceptions[MTF_PY_N_EXCEPTIONS];
    PyTypeObject *results[MTF_PY_N_RESULTS];
    PyTypeObject *model_type;
    Py_ssize_t n_models;  /* alive */
    Py_ssize_t n_running; /* methods under way, of all models; ask mtf_py_n_running */
    long process;         /* that n_running counts in */
    int runtime_ready;    /* mtf_runtime_init has succeeded */
    PyObject *check;      /* called where a call of the core asks whether to go on; NULL: none */
} mtf_py_state;

typedef struct mtf_py_model mtf_py_model;

/* ---- batches: offsets.c, batch.c -------------------------------------------------------------- */

/* Private copies of the offsets, and of the widths of grids, of every row space of a model that has
 * any. */
typedef struct mtf_py_offsets {
    PyObject *keep; /* list that owns names and arrays */
    npy_intp n_sequences;
    size_t n;
    mtf_rows spaces[MTF_MAX_SPACES]; /* (n) */
} mtf_py_offsets;

/* From mappings of row spaces to arrays; `widths` of those that are grids, or None. */
int mtf_py_offsets_init(mtf_py_offsets *offsets, const mtf_py_model *self, PyObject *object,
                        PyObject *widths);
void mtf_py_offsets_clear(mtf_py_offsets *offsets);
/* Rows of a row space of the model. */
npy_intp mtf_py_rows(const mtf_py_offsets *offsets, const char *space);

/* One packed batch and what it points into: private copies of integers, borrowed floats. Never
 * moved: `batch` points into it. */
typedef struct mtf_py_batch {
    mtf_batch batch;
    mtf_py_offsets offsets;
    mtf_input inputs[MTF_MAX_INPUTS];
    mtf_feature features[MTF_MAX_FEATURES];
    PyObject *keep; /* list that owns names and arrays */
} mtf_py_batch;

/* From a mapping; see batch.c. */
mtf_py_batch *mtf_py_batch_new(const mtf_py_model *self, PyObject *object);
void mtf_py_batch_free(mtf_py_batch *batch); /* NULL is fine */

/* ---- model object: model.c ------------------------------------------------------------------- */

struct mtf_py_model {
    PyObject_HEAD mtf_model *model;
    PyObject *module; /* kept alive for its state */
    mtf_py_state *state;
    mtf_py_batch *pending; /* borrowed by the core from train_forward until train_backward */
    atomic_int use;        /* mtf_py_use; MTF_PY_FREE: nobody is in a method */
    atomic_ulong reader;   /* the thread in a reading method, else 0 */
    long process;          /* whose thread is in a method */
    mtf_account *account;  /* of what the model takes */
    mtf_account *outside;  /* the one of the thread in a method before it came in */
};

extern PyType_Spec mtf_py_model_spec;
extern PyMethodDef mtf_py_model_methods[];                                    /* methods.c */
extern PyMethodDef mtf_py_module_functions[];                                 /* runtime.c */
PyObject *mtf_py_outline(PyObject *module, PyObject *args, PyObject *kwargs); /* outline.c */

/* Methods under way in this process: after a fork none, whatever other threads were at. */
Py_ssize_t mtf_py_n_running(mtf_py_state *state);

/* What a method does with the model: looks at it, which is over in no time, or works on it. */
typedef enum mtf_py_use { MTF_PY_FREE, MTF_PY_READS, MTF_PY_WORKS } mtf_py_use;

/* The lock. ConcurrencyError at once beside a method that works; one that reads is waited for, so that
 * another thread's look at the model ends no run. */
int mtf_py_enter(mtf_py_model *self, mtf_py_use use);
void mtf_py_leave(mtf_py_model *self);
/* Chooses the kernel table if nobody has yet. */
int mtf_py_runtime_ready(mtf_py_state *state);
/* Position of a parameter, from any integer object; IndexError when there is no such parameter. */
int mtf_py_param_index(const mtf_py_model *self, PyObject *object, size_t *index);
/* Reads (index, values) by `format` and hands values of the parameter's shape to a core function. */
typedef mtf_status (*mtf_py_setter)(mtf_model *model, size_t index, const mtf_real *values,
                                    size_t n, mtf_error *err); /* values (n) */
PyObject *mtf_py_set_values(mtf_py_model *self, PyObject *args, PyObject *kwargs,
                            const char *format, mtf_py_setter set);

/* ---- whole.c ---------------------------------------------------------------------------------- */

extern PyType_Spec mtf_py_bracket_spec;
PyObject *mtf_py_together(PyObject *module, PyObject *args, PyObject *kwargs);

/* ---- memory.c --------------------------------------------------------------------------------- */

PyObject *mtf_py_process_memory(PyObject *module, PyObject *unused);
PyObject *mtf_py_reset_process_peak(PyObject *module, PyObject *unused);

/* ---- outputs.c ------------------------------------------------------------------------------- */

/* The output of that name; SelectorError lists the names there are. */
int mtf_py_find_output(const mtf_py_model *self, const char *name, mtf_output_info *info);
/* Rows of an output for that batch. */
npy_intp mtf_py_output_rows(const mtf_output_info *info, const mtf_py_batch *batch);

/* ---- inputs.c -------------------------------------------------------------------------------- */

/* The input, or the row space with offsets, of that name; SelectorError lists the names there are. */
int mtf_py_find_input(const mtf_py_model *self, const char *name, mtf_input_info *info);
int mtf_py_find_space(const mtf_py_model *self, const char *name, mtf_space_info *info);

/* ---- methods, each called under the lock ------------------------------------------------------ */

typedef PyObject *(*mtf_py_method)(mtf_py_model *self, PyObject *args, PyObject *kwargs);

PyObject *mtf_py_add_head(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_remove_head(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_set_adapter(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_params(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_units(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_spaces(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_inputs(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_outputs(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_nodes(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_view(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_set_param(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_set_frozen(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_set_precision(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_forward(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_train_begin(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_train_forward(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_train_outputs(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_train_backward(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_train_gradients(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_train_apply(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_train_reset(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_memory_info(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_reset_peak_memory(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_gradient(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_set_gradient(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_get_state(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_set_state(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_prefix(mtf_py_model *self, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_plan(mtf_py_model *self, PyObject *args, PyObject *kwargs);

/* ---- values.c: functions of the module -------------------------------------------------------- */

PyObject *mtf_py_loss_values(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *mtf_py_assignment(PyObject *module, PyObject *args, PyObject *kwargs);

/* ---- errors.c -------------------------------------------------------------------------------- */

int mtf_py_errors_init(mtf_py_state *state);
/* Raises what the status table says, with the core's text; returns NULL. MTF_INTERRUPTED: what the
 * handler of a signal raised stands already. */
PyObject *mtf_py_raise(const mtf_py_state *state, mtf_status status, const mtf_error *err);
/* SelectorError: the model has no `kind` of that name; lists the `n` that it has. */
void mtf_py_raise_unknown(const mtf_py_model *self, const char *kind, const char *name, size_t n,
                          const char *(*name_of)(const mtf_model *model, size_t index));

/* ---- watch.c ---------------------------------------------------------------------------------- */

/* One call of the core during which signals are heard. */
typedef struct mtf_py_watch {
    mtf_py_state *state;
    int has_asked;
    int is_elsewhere; /* not in the main thread: no signal comes here */
    int raised;       /* a handler did; its exception is set */
} mtf_py_watch;

void mtf_py_watch_begin(mtf_py_watch *watch, mtf_py_state *state);
/* The status of the call, MTF_INTERRUPTED if a handler raised. */
mtf_status mtf_py_watch_end(const mtf_py_watch *watch, mtf_status status);

/* status = call on the model `self`, without the GIL, hearing signals. */
#define MTF_PY_WATCHED(status, call)                                                               \
    do {                                                                                           \
        mtf_py_watch watch_;                                                                       \
        mtf_py_watch_begin(&watch_, self->state);                                                  \
        Py_BEGIN_ALLOW_THREADS(status) = (call);                                                   \
        Py_END_ALLOW_THREADS(status) = mtf_py_watch_end(&watch_, status);                          \
    } while (0)

/* ---- results.c ------------------------------------------------------------------------------- */

int mtf_py_results_init(mtf_py_state *state, PyObject *module);
/* A result of type `kind` from new references, which are stolen; a NULL among them is an error
 * already set. */
PyObject *mtf_py_result(const mtf_py_state *state, int kind, PyObject **fields);

/* A ParamInfo (params.c). */
PyObject *mtf_py_param_result(const mtf_py_state *state, const mtf_param_info *info);

/* Tuple of str from texts (n). */
PyObject *mtf_py_texts(const char *const *texts, size_t n);

/* List of make(self, 0 .. n - 1). */
PyObject *mtf_py_list_of(mtf_py_model *self, size_t n, PyObject *(*make)(mtf_py_model *, size_t));

/* ---- args.c: names, numbers, mappings --------------------------------------------------------- */

/* Borrowed UTF-8 of a str without NUL characters. */
const char *mtf_py_text(PyObject *object, const char *what);
int mtf_py_int64(PyObject *object, const char *what, int64_t *value);
int mtf_py_int(PyObject *object, const char *what, int *value);
int mtf_py_uint64(PyObject *object, const char *what, uint64_t *value);
int mtf_py_double(PyObject *object, const char *what, double *value);
/* Items of a list or tuple as a new tuple. */
PyObject *mtf_py_items(PyObject *object, const char *what);
/* (key, value) pairs of a mapping as a new tuple of tuples; None gives an empty one. */
PyObject *mtf_py_pairs(PyObject *object, const char *what);

typedef struct mtf_py_names {
    PyObject *keep; /* tuple that owns the texts */
    size_t n;
    const char **names; /* (n) */
} mtf_py_names;

/* Distinct names from a list or tuple of str. */
int mtf_py_names_init(mtf_py_names *names, PyObject *object, const char *what);
void mtf_py_names_clear(mtf_py_names *names);

/* config.c: a new configuration from a mapping, to be freed by the caller. */
mtf_config *mtf_py_config_new(const mtf_py_state *state, PyObject *mapping);

/* ---- arrays.c -------------------------------------------------------------------------------- */

/* Private copies of one-dimensional integer arrays of any integer dtype; ValueError where a value
 * does not fit. */
PyArrayObject *mtf_py_int32_copy(PyObject *object, const char *what);
PyArrayObject *mtf_py_int64_copy(PyObject *object, const char *what);
/* 0/1 per element from a one-dimensional bool or uint8 array of n elements; a new reference. */
PyArrayObject *mtf_py_mask(PyObject *object, const char *what, size_t n);
/* Private copy of a one-dimensional uint8 array of n elements; a new reference. */
PyArrayObject *mtf_py_codes(PyObject *object, const char *what, size_t n);
/* C-contiguous array of exactly that shape in NPY_FLOAT32 or NPY_FLOAT64: the object itself where
 * it already is one, else one conversion (same-kind casting). */
PyArrayObject *mtf_py_floats(PyObject *object, const char *what, int type, int n_dims,
                             const npy_intp *shape);
/* The same as a private copy. */
PyArrayObject *mtf_py_floats_copy(PyObject *object, const char *what, int type, int n_dims,
                                  const npy_intp *shape);
/* The same in float32 with the shape of a parameter, borrowed. */
PyArrayObject *mtf_py_param_floats(PyObject *object, const char *what, const mtf_param_info *info);
/* Fresh float32 array of a parameter's shape with a copy of `values`. */
PyObject *mtf_py_param_copy(const mtf_param_info *info, const mtf_real *values);
/* Read-only array over a parameter; keeps the model alive, and the values if their head is removed. */
PyObject *mtf_py_param_view(mtf_py_model *self, size_t index);

/* ---- freezing.c ------------------------------------------------------------------------------- */

/* A freeze mask from (params, units), two arrays as mtf_py_mask() takes them, or from None. */
typedef struct mtf_py_freeze {
    mtf_freeze_mask mask;
    const mtf_freeze_mask *given;  /* &mask; NULL for None */
    PyArrayObject *params, *units; /* what it points into */
} mtf_py_freeze;

int mtf_py_freeze_init(mtf_py_freeze *freeze, const mtf_py_model *self, PyObject *object);
void mtf_py_freeze_clear(mtf_py_freeze *freeze);

/* ---- losses.c: what training injects ---------------------------------------------------------- */

typedef struct mtf_py_losses {
    PyObject *keep; /* list of what the entries point into */
    size_t n;
    mtf_loss *items;             /* (n) */
    mtf_loss_settings *settings; /* (n), of the items that have some */
    double *scales;              /* (n), the same as the weights */
    double *values;              /* (n), for the core to write */
    int64_t *counts;             /* (n), for the core to write */
} mtf_py_losses;

typedef struct mtf_py_injections {
    PyObject *keep;
    size_t n;
    mtf_injection *items; /* (n) */
} mtf_py_injections;

int mtf_py_losses_init(mtf_py_losses *losses, const mtf_py_model *self, PyObject *object,
                       const mtf_py_batch *batch);
void mtf_py_losses_clear(mtf_py_losses *losses);
int mtf_py_injections_init(mtf_py_injections *injections, const mtf_py_model *self,
                           PyObject *object, const mtf_py_batch *batch);
void mtf_py_injections_clear(mtf_py_injections *injections);

#endif
