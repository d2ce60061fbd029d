/* The method table of mtfreeze._core.Model, in the order of mtfreeze/_core.pyi: names, signatures,
 * docstrings, and the lock around every one of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

static PyObject *locked(PyObject *object, PyObject *args, PyObject *kwargs, mtf_py_use use,
                        mtf_py_method method)
{
    mtf_py_model *self = (mtf_py_model *)object;
    if (mtf_py_enter(self, use) < 0) {
        return NULL;
    }
    PyObject *result = method(self, args, kwargs);
    mtf_py_leave(self);
    return result;
}

#define LOCKED(name, use)                                                                          \
    static PyObject *name(PyObject *object, PyObject *args, PyObject *kwargs)                      \
    {                                                                                              \
        return locked(object, args, kwargs, use, mtf_py_##name);                                   \
    }

LOCKED(add_head, MTF_PY_WORKS)
LOCKED(remove_head, MTF_PY_WORKS)
LOCKED(set_adapter, MTF_PY_WORKS)
LOCKED(params, MTF_PY_READS)
LOCKED(units, MTF_PY_READS)
LOCKED(spaces, MTF_PY_READS)
LOCKED(inputs, MTF_PY_READS)
LOCKED(outputs, MTF_PY_READS)
LOCKED(nodes, MTF_PY_READS)
LOCKED(view, MTF_PY_READS)
LOCKED(set_param, MTF_PY_WORKS)
LOCKED(set_frozen, MTF_PY_WORKS)
LOCKED(set_precision, MTF_PY_WORKS)
LOCKED(forward, MTF_PY_WORKS)
LOCKED(train_begin, MTF_PY_WORKS)
LOCKED(train_forward, MTF_PY_WORKS)
LOCKED(train_outputs, MTF_PY_WORKS)
LOCKED(train_backward, MTF_PY_WORKS)
LOCKED(train_gradients, MTF_PY_WORKS)
LOCKED(train_apply, MTF_PY_WORKS)
LOCKED(gradient, MTF_PY_READS)
LOCKED(set_gradient, MTF_PY_WORKS)
LOCKED(get_state, MTF_PY_READS)
LOCKED(set_state, MTF_PY_WORKS)
LOCKED(train_reset, MTF_PY_WORKS)
LOCKED(memory_info, MTF_PY_READS)
LOCKED(reset_peak_memory, MTF_PY_READS)
LOCKED(prefix, MTF_PY_READS)
LOCKED(plan, MTF_PY_READS)

PyDoc_STRVAR(
    add_head_doc,
    "add_head($self, /, name, config, seed=0)\n--\n\n"
    "Adds a head. config: kind, n_labels, hidden, activation, dropout, features, pooling.\n"
    "Weights are drawn from (seed, name). Parameter indexes of what was there stay.");
PyDoc_STRVAR(
    remove_head_doc,
    "remove_head($self, /, name)\n--\n\n"
    "Removes a head. Parameters behind its own move down; views of its own stay readable.");
PyDoc_STRVAR(
    set_adapter_doc,
    "set_adapter($self, /, config, seed=0)\n--\n\n"
    "Adds an adapter, or with None removes the one that there is. config: adapter, "
    "adapter.dropout,\n"
    "adapter.n, adapter.<i>.site, adapter.<i>.rank, adapter.<i>.scale, adapter.<i>.input. Its\n"
    "parameters stand before those of heads, whose indexes move; weights and state stay.");
PyDoc_STRVAR(params_doc, "params($self, /)\n--\n\n"
                         "List of ParamInfo, one a parameter.");
PyDoc_STRVAR(units_doc, "units($self, /)\n--\n\n"
                        "List of UnitInfo: embeddings, each layer, pooler, each head.");
PyDoc_STRVAR(spaces_doc,
             "spaces($self, /)\n--\n\n"
             "List of SpaceInfo: what batches have rows of; \"sequences\" comes first.");
PyDoc_STRVAR(inputs_doc, "inputs($self, /)\n--\n\n"
                         "List of InputInfo: what batches give for each row.");
PyDoc_STRVAR(outputs_doc, "outputs($self, /)\n--\n\n"
                          "List of OutputInfo: the names that forward and training know.");
PyDoc_STRVAR(nodes_doc,
             "nodes($self, /)\n--\n\n"
             "List of NodeInfo: what the model computes, every tensor made before it is read.");
PyDoc_STRVAR(view_doc,
             "view($self, /, index)\n--\n\n"
             "Read-only float32 array over a parameter's weights. It keeps the model alive, is\n"
             "never stale, and stays readable after its head was removed.");
PyDoc_STRVAR(set_param_doc,
             "set_param($self, /, index, values)\n--\n\n"
             "Copies an array of the parameter's shape (any strides) over it. float32 is taken as\n"
             "it is; other real dtypes, float64 among them, are rounded to float32.");
PyDoc_STRVAR(
    set_frozen_doc,
    "set_frozen($self, /, params, units)\n--\n\n"
    "Replaces the freeze state. params, units: bool or uint8, one element a parameter and\n"
    "a unit, true = frozen; units is read for heads only.");
PyDoc_STRVAR(
    set_precision_doc,
    "set_precision($self, /, params)\n--\n\n"
    "Replaces what the products of frozen parameters are made in. params: uint8, one element\n"
    "a parameter: 0 fp32, 1 bf16, 2 int8. The weights stay as they are.");
PyDoc_STRVAR(
    forward_doc,
    "forward($self, /, batch, outputs, precision=-1)\n--\n\n"
    "Inference. batch: a mapping of \"inputs\": input -> ids (N,) of any integer dtype, or float\n"
    "rows (N, width); \"offsets\": row space -> (B + 1,), where each sequence's rows begin; and\n"
    "perhaps \"features\": output -> values (N, width): what only they need does not run, and\n"
    "inputs that nothing reads may be left out. outputs: distinct names. precision of the\n"
    "products: 0 fp32, 1 bf16, 2 int8, -1 as freezing says. Returns one fresh float32 array\n"
    "(N, width) an output.");
PyDoc_STRVAR(train_begin_doc,
             "train_begin($self, /, seed, step, dropout=True, precision=0, save_bf16=False)"
             "\n--\n\n"
             "Starts a step: gradients count as not reached. Dropout is drawn from (seed, step).\n"
             "precision of its products: 0 fp32, 1 bf16. save_bf16: rounds what is kept for the\n"
             "backward pass.");
PyDoc_STRVAR(
    train_forward_doc,
    "train_forward($self, /, batch, wanted, first_sequence=0)\n--\n\n"
    "Forward of one micro-batch that keeps what the backward needs. Returns the values of\n"
    "the wanted outputs. first_sequence: number of its first sequence in the step.");
PyDoc_STRVAR(
    train_outputs_doc,
    "train_outputs($self, /, batch, outputs, token_budget)\n--\n\n"
    "Values of outputs of the whole step under way, in micro-batches as in train_gradients.\n"
    "Returns (one float32 array (N, width) an output; whether there was one micro-batch, which\n"
    "now waits for train_backward).");
PyDoc_STRVAR(train_backward_doc,
             "train_backward($self, /, losses=(), injections=None)\n--\n\n"
             "Backward of the last train_forward. losses: (output, targets, scale) or (output,\n"
             "targets, scale, kind) each; injections: output -> d loss / d output (N, width),\n"
             "added. Gradients add up over the step. Returns the sums of each loss over labelled\n"
             "rows.");
PyDoc_STRVAR(
    train_gradients_doc,
    "train_gradients($self, /, batch, losses, injections=None, *, token_budget=4096, "
    "seed=0, step=0, dropout=True, precision=0, save_bf16=False)\n--\n\n"
    "Begin, forward and backward of a whole batch, cut into micro-batches of whole\n"
    "sequences of at most token_budget rows of any space. losses: (output, targets, weight)\n"
    "or (output, targets, weight, kind) each: targets are int32 (N,) or float32 (N, width), as the "
    "kind of\n"
    "loss says, without a name that of the head.\n"
    "precision, save_bf16: as in train_begin.\n"
    "Returns (mean losses over labelled rows, unweighted; labelled rows).");
PyDoc_STRVAR(
    train_apply_doc,
    "train_apply($self, /, learning_rate, weight_decay, *, beta1=0.9, beta2=0.999, "
    "eps=1e-08, max_grad_norm=1.0)\n--\n\n"
    "Clips by the global norm (max_grad_norm <= 0: not at all) and applies AdamW to every\n"
    "trainable tensor that was reached. learning_rate, weight_decay: one number a\n"
    "parameter. TrainingError: a gradient, or what it would make of a weight, is not finite,\n"
    "and nothing was changed.");
PyDoc_STRVAR(gradient_doc,
             "gradient($self, /, index)\n--\n\n"
             "Copy of the gradient of the step under way; None: frozen or not reached.");
PyDoc_STRVAR(set_gradient_doc,
             "set_gradient($self, /, index, values)\n--\n\n"
             "Replaces a trainable parameter's gradient; dtypes and strides as in set_param.");
PyDoc_STRVAR(
    get_state_doc,
    "state($self, /, index)\n--\n\n"
    "Optimizer state of a parameter as copies: (first moment, second moment, steps taken);\n"
    "None: it has none.");
PyDoc_STRVAR(set_state_doc, "set_state($self, /, index, moment1, moment2, n_steps)\n--\n\n"
                            "Replaces the optimizer state of a trainable parameter.");
PyDoc_STRVAR(train_reset_doc, "train_reset($self, /)\n--\n\n"
                              "Frees gradients and optimizer state of every parameter.");
PyDoc_STRVAR(memory_info_doc,
             "memory_info($self, /)\n--\n\n"
             "MemoryInfo of what this model takes: weights, state, plans, arenas, packed weights.");
PyDoc_STRVAR(reset_peak_memory_doc,
             "reset_peak_memory($self, /)\n--\n\n"
             "Starts memory_info().bytes_peak of this model anew from bytes_now.");
PyDoc_STRVAR(prefix_doc,
             "prefix($self, /, outputs, training, frozen=None)\n--\n\n"
             "Names of what the frozen prefix hands on towards these outputs, so that a batch may\n"
             "carry their values instead of ids; []: nothing is frozen as far as a named output.\n"
             "frozen: as in plan.");
PyDoc_STRVAR(
    plan_doc,
    "plan($self, /, outputs, *, training, offsets, widths=None, features=(), "
    "token_budget=4096, "
    "precision=None, save_bf16=False, frozen=None)\n--\n\n"
    "What a freeze state runs, keeps and costs for exactly this batch, as a\n"
    "PlanInfo: FLOPs of the whole, memory of its largest micro-batch at the present number\n"
    "of threads. outputs: what is wanted or, in training, what receives a gradient;\n"
    "offsets: as in a batch; features: outputs whose values the batch would carry. token_budget: "
    "as in\n"
    "train_gradients; inference runs a batch whole. precision, save_bf16: as in forward or\n"
    "train_begin; None: as freezing says, or fp32 in training. frozen: (params, units) as in\n"
    "set_frozen, the freeze state that is meant; None: the present one. Nothing changes.");

/* METH_VARARGS | METH_KEYWORDS functions have another type than the table's; the cast is CPython's
 * own convention. */
#define METHOD(name, function, doc)                                                                \
    {name, (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS, doc}

PyMethodDef mtf_py_model_methods[] = {
    METHOD("add_head", add_head, add_head_doc),
    METHOD("remove_head", remove_head, remove_head_doc),
    METHOD("set_adapter", set_adapter, set_adapter_doc),
    METHOD("params", params, params_doc),
    METHOD("units", units, units_doc),
    METHOD("spaces", spaces, spaces_doc),
    METHOD("inputs", inputs, inputs_doc),
    METHOD("outputs", outputs, outputs_doc),
    METHOD("nodes", nodes, nodes_doc),
    METHOD("view", view, view_doc),
    METHOD("set_param", set_param, set_param_doc),
    METHOD("set_frozen", set_frozen, set_frozen_doc),
    METHOD("set_precision", set_precision, set_precision_doc),
    METHOD("forward", forward, forward_doc),
    METHOD("train_begin", train_begin, train_begin_doc),
    METHOD("train_forward", train_forward, train_forward_doc),
    METHOD("train_outputs", train_outputs, train_outputs_doc),
    METHOD("train_backward", train_backward, train_backward_doc),
    METHOD("train_gradients", train_gradients, train_gradients_doc),
    METHOD("train_apply", train_apply, train_apply_doc),
    METHOD("gradient", gradient, gradient_doc),
    METHOD("set_gradient", set_gradient, set_gradient_doc),
    METHOD("state", get_state, get_state_doc),
    METHOD("set_state", set_state, set_state_doc),
    METHOD("train_reset", train_reset, train_reset_doc),
    METHOD("memory_info", memory_info, memory_info_doc),
    METHOD("reset_peak_memory", reset_peak_memory, reset_peak_memory_doc),
    METHOD("prefix", prefix, prefix_doc),
    METHOD("plan", plan, plan_doc),
    {NULL, NULL, 0, NULL}};
