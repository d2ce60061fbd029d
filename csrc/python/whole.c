/* What no interrupt cuts in two: calls made together, and blocks whose end always comes.
 *
 * Python runs signal handlers between its own instructions and never inside a C function. So a
 * KeyboardInterrupt may come between any two lines of Python, in a `finally` before its first call
 * too, but not between two calls that are made here.
 *
 *   together(calls)         calls C functions one after another; nothing happens in between
 *   Bracket(begin, end)     `end` is called after `begin` and the block, whatever became of them
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

/* How often an end that raised is called again: more often than anybody presses Ctrl-C in one. */
#define MAX_ENDS 16

PyObject *mtf_py_together(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"calls", NULL};
    PyObject *given;
    (void)module;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:together", keywords, &given)) {
        return NULL;
    }
    PyObject *calls = PySequence_Tuple(given); /* whatever Python code that takes comes first */
    if (calls == NULL) {
        return NULL;
    }
    const Py_ssize_t n = PyTuple_GET_SIZE(calls);
    PyObject *results = PyList_New(n);
    for (Py_ssize_t i = 0; results != NULL && i < n; i++) {
        PyObject *result = PyObject_CallNoArgs(PyTuple_GET_ITEM(calls, i));
        if (result == NULL) {
            Py_CLEAR(results);
        } else {
            PyList_SET_ITEM(results, i, result);
        }
    }
    Py_DECREF(calls);
    return results;
}

/* ---- Bracket ---------------------------------------------------------------------------------- */

typedef struct bracket {
    PyObject_HEAD PyObject *begin; /* None: nothing to begin with */
    PyObject *end;
} bracket;

/* An exception that was raised, as the interpreter hands it out. */
typedef struct raised {
    PyObject *type, *value, *trace;
} raised;

/* Takes the exception that is set; the one before it becomes its context. Not that of a lack of memory:
 * linking takes some, and CPython ends the process where too many errors of that kind are kept. */
static void raised_next(raised *last)
{
    raised next = {NULL, NULL, NULL};
    PyErr_Fetch(&next.type, &next.value, &next.trace);
    if (last->type != NULL && !PyErr_GivenExceptionMatches(next.type, PyExc_MemoryError)) {
        PyErr_NormalizeException(&last->type, &last->value, &last->trace);
        PyErr_NormalizeException(&next.type, &next.value, &next.trace);
        if (last->trace != NULL) {
            PyException_SetTraceback(last->value, last->trace);
        }
        if (next.value != last->value) {
            PyException_SetContext(next.value, Py_NewRef(last->value));
        }
    }
    Py_XDECREF(last->type);
    Py_XDECREF(last->value);
    Py_XDECREF(last->trace);
    *last = next;
}

/* Calls `end` until it has come to its own end. An exception that is set stays set; so does one that
 * interrupted `end`. */
static void finish(bracket *self)
{
    raised last = {NULL, NULL, NULL};
    if (PyErr_Occurred()) {
        raised_next(&last);
    }
    PyObject *done = NULL;
    for (int i = 0; done == NULL && i < MAX_ENDS; i++) {
        done = PyObject_CallNoArgs(self->end);
        if (done == NULL) {
            raised_next(&last);
        }
    }
    Py_XDECREF(done);
    PyErr_Restore(last.type, last.value, last.trace);
}

/* What `begin` gives; after an error of it the end has come. */
static PyObject *start(bracket *self)
{
    if (self->begin == Py_None) {
        Py_RETURN_NONE;
    }
    PyObject *begun = PyObject_CallNoArgs(self->begin);
    if (begun == NULL) {
        finish(self);
    }
    return begun;
}

static PyObject *bracket_enter(PyObject *object, PyObject *unused)
{
    (void)unused;
    return start((bracket *)object);
}

static PyObject *bracket_exit(PyObject *object, PyObject *args)
{
    (void)args;
    finish((bracket *)object);
    if (PyErr_Occurred()) {
        return NULL;
    }
    Py_RETURN_FALSE;
}

static PyObject *bracket_run(PyObject *object, PyObject *args, PyObject *kwargs)
{
    const Py_ssize_t n = PyTuple_GET_SIZE(args);
    if (n == 0) {
        PyErr_SetString(PyExc_TypeError, "run must be given a function, found no argument");
        return NULL;
    }
    PyObject *rest = PyTuple_GetSlice(args, 1, n);
    PyObject *begun = rest == NULL ? NULL : start((bracket *)object);
    PyObject *result = NULL;
    if (begun != NULL) {
        result = PyObject_Call(PyTuple_GET_ITEM(args, 0), rest, kwargs);
        finish((bracket *)object);
        if (PyErr_Occurred()) {
            Py_CLEAR(result);
        }
    }
    Py_XDECREF(begun);
    Py_XDECREF(rest);
    return result;
}

static PyObject *bracket_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"begin", "end", NULL};
    PyObject *begin, *end;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:Bracket", keywords, &begin, &end)) {
        return NULL;
    }
    bracket *self = (bracket *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->begin = Py_NewRef(begin);
        self->end = Py_NewRef(end);
    }
    return (PyObject *)self;
}

static int bracket_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((bracket *)object)->begin);
    Py_VISIT(((bracket *)object)->end);
    return 0;
}

static int bracket_clear(PyObject *object)
{
    Py_CLEAR(((bracket *)object)->begin);
    Py_CLEAR(((bracket *)object)->end);
    return 0;
}

static void bracket_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    bracket_clear(object);
    type->tp_free(object);
    Py_DECREF(type);
}

PyDoc_STRVAR(bracket_doc,
             "Bracket(begin, end)\n--\n\n"
             "A block between two functions without arguments, for `with` or `run`. end is called\n"
             "whatever became of begin (None: nothing) and of the block, and called again when an\n"
             "interrupt cut it short; so it must be right at any time and as often as one likes.");
PyDoc_STRVAR(enter_doc, "__enter__($self, /)\n--\n\n"
                        "Calls begin and returns what it gives.");
PyDoc_STRVAR(exit_doc, "__exit__($self, /, *raised)\n--\n\n"
                       "Calls end.");
PyDoc_STRVAR(run_doc, "run($self, work, /, *args, **kwargs)\n--\n\n"
                      "begin, work(*args, **kwargs), end: what `with` does, without a line of "
                      "Python at\neither end. Returns what work gives.");

/* METH_VARARGS | METH_KEYWORDS functions have another type than the table's; the cast is CPython's
 * own convention. */
static PyMethodDef bracket_methods[] = {
    {"__enter__", bracket_enter, METH_NOARGS, enter_doc},
    {"__exit__", bracket_exit, METH_VARARGS, exit_doc},
    {"run", (PyCFunction)(void (*)(void))bracket_run, METH_VARARGS | METH_KEYWORDS, run_doc},
    {NULL, NULL, 0, NULL}};

static PyType_Slot bracket_slots[] = {{Py_tp_doc, (void *)(uintptr_t)bracket_doc},
                                      {Py_tp_new, bracket_new},
                                      {Py_tp_dealloc, bracket_dealloc},
                                      {Py_tp_traverse, bracket_traverse},
                                      {Py_tp_clear, bracket_clear},
                                      {Py_tp_methods, bracket_methods},
                                      {0, NULL}};

PyType_Spec mtf_py_bracket_spec = {
    .name = "mtfreeze._core.Bracket",
    .basicsize = sizeof(bracket),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = bracket_slots,
};
