/* Ctrl-C while the core works: Python's signal handlers run, and what they raise ends the call.
 *
 * Python runs handlers in the main thread only, and that one waits inside the core. So the core asks
 * now and then (mtf_stop_watch), and the answer is whether a handler raised. Asking takes the GIL,
 * which costs nothing unless another thread holds it; calls that are over sooner never ask.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

/* With the wait for the GIL and the longest piece of work it stays below 100 ms. */
#define ASK_MS 30

/* 1, 0, or -1 with an exception set. */
static int is_main_thread(void)
{
    int found = -1;
    PyObject *threading = PyImport_ImportModule("threading");
    PyObject *thread =
        threading != NULL ? PyObject_CallMethod(threading, "main_thread", NULL) : NULL;
    PyObject *ident = thread != NULL ? PyObject_GetAttrString(thread, "ident") : NULL;
    PyObject *own = ident != NULL ? PyLong_FromUnsignedLong(PyThread_get_thread_ident()) : NULL;
    if (own != NULL) {
        found = PyObject_RichCompareBool(own, ident, Py_EQ);
    }
    Py_XDECREF(own);
    Py_XDECREF(ident);
    Py_XDECREF(thread);
    Py_XDECREF(threading);
    return found;
}

/* Called by the core without the GIL. */
static int ask(void *context)
{
    mtf_py_watch *watch = context;
    if (watch->is_elsewhere) {
        return 0;
    }
    const PyGILState_STATE held = PyGILState_Ensure();
    if (!watch->has_asked) {
        const int is_main = is_main_thread();
        watch->has_asked = 1;
        watch->is_elsewhere = is_main == 0;
        watch->raised = is_main < 0;
    }
    if (!watch->is_elsewhere && !watch->raised) {
        const int outer = watch->state->hears_signals; /* a handler may call the core, too */
        watch->state->hears_signals = 1;
        watch->raised = PyErr_CheckSignals() < 0;
        watch->state->hears_signals = outer;
    }
    PyGILState_Release(held);
    return watch->raised;
}

void mtf_py_watch_begin(mtf_py_watch *watch, mtf_py_state *state)
{
    *watch = (mtf_py_watch){.state = state};
    mtf_stop_watch(ask, watch, ASK_MS);
}

mtf_status mtf_py_watch_end(const mtf_py_watch *watch, mtf_status status)
{
    mtf_stop_watch(NULL, NULL, 0);
    return watch->raised ? MTF_INTERRUPTED : status;
}
