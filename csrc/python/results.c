/* The result types: struct sequences, i.e. tuples whose fields have names.
 *
 * Names, order and meaning are those of mtfreeze/_core.pyi.
 * SPDX-License-Identifier: Apache-2.0 */
#include "binding.h"

#define FIELD(name) {#name, NULL}
#define END         {NULL, NULL}
/* An array that END closes, and how many fields it has. */
#define ALL(fields) fields, (int)(sizeof(fields) / sizeof *(fields)) - 1

/* clang-format off */
static PyStructSequence_Field param_info_fields[] = {
    FIELD(key), FIELD(unit), FIELD(shape), FIELD(size), FIELD(version), FIELD(decays),
    FIELD(in_products), FIELD(convolves), FIELD(is_buffer), FIELD(moves), FIELD(frozen), FIELD(precision), FIELD(n_steps),
    FIELD(aliases), END
};
static PyStructSequence_Field unit_info_fields[] = {
    FIELD(path), FIELD(is_head), FIELD(first_param), FIELD(n_params), FIELD(n_values),
    FIELD(n_values_frozen), FIELD(frozen), END
};
static PyStructSequence_Field space_info_fields[] = {
    FIELD(name), FIELD(max_length), FIELD(of_heads), FIELD(row_cost), FIELD(rows_per_token), FIELD(is_grid), FIELD(height),
    FIELD(width), FIELD(of), FIELD(kernel), FIELD(stride), FIELD(padding), FIELD(ceil), FIELD(extra), FIELD(fixed), END
};
static PyStructSequence_Field input_info_fields[] = {
    FIELD(name), FIELD(space), FIELD(width), FIELD(limit), FIELD(optional), END
};
static PyStructSequence_Field output_info_fields[] = {
    FIELD(name), FIELD(space), FIELD(width), FIELD(tensor), END
};
static PyStructSequence_Field node_info_fields[] = {
    FIELD(op), FIELD(label), FIELD(inputs), FIELD(outputs), FIELD(widths), FIELD(spaces), FIELD(params), FIELD(attributes), END
};
static PyStructSequence_Field unit_plan_fields[] = {
    FIELD(forward_flops), FIELD(dx_flops), FIELD(dw_flops), FIELD(saved_bytes), FIELD(runs),
    FIELD(in_prefix), FIELD(dropout), END
};
static PyStructSequence_Field plan_info_fields[] = {
    FIELD(forward_flops), FIELD(prefix_flops), FIELD(dx_flops), FIELD(dw_flops),
    FIELD(weight_bytes), FIELD(form_bytes), FIELD(gradient_bytes), FIELD(moment_bytes), FIELD(row_bytes),
    FIELD(saved_bytes), FIELD(activation_grad_bytes), FIELD(worker_bytes), FIELD(shared_bytes), FIELD(n_trainable), FIELD(n_values),
    FIELD(couples), FIELD(n_forward), FIELD(n_backward), FIELD(units), END
};
static PyStructSequence_Field update_result_fields[] = {
    FIELD(grad_norm), FIELD(clip), FIELD(n_stepped), END
};
static PyStructSequence_Field runtime_info_fields[] = {
    FIELD(isa), FIELD(isa_compiled), FIELD(isa_available), FIELD(product_isa), FIELD(blas),
    FIELD(n_threads), FIELD(blas_rows_checked), END
};
static PyStructSequence_Field memory_info_fields[] = {
    FIELD(n_allocations), FIELD(bytes_now), FIELD(bytes_peak), END
};

static PyStructSequence_Field flops_fields[] = {
    FIELD(forward), FIELD(dx), FIELD(dw), END
};

static PyStructSequence_Desc result_types[MTF_PY_N_RESULTS] = {
    [MTF_PY_PARAM_INFO] = {"mtfreeze._core.ParamInfo", "One parameter of a model.", ALL(param_info_fields)},
    [MTF_PY_UNIT_INFO] = {"mtfreeze._core.UnitInfo", "One unit of freezing.", ALL(unit_info_fields)},
    [MTF_PY_SPACE_INFO] = {"mtfreeze._core.SpaceInfo", "One row space.", ALL(space_info_fields)},
    [MTF_PY_INPUT_INFO] = {"mtfreeze._core.InputInfo", "One input of batches.", ALL(input_info_fields)},
    [MTF_PY_OUTPUT_INFO] = {"mtfreeze._core.OutputInfo", "One named output.", ALL(output_info_fields)},
    [MTF_PY_NODE_INFO] = {"mtfreeze._core.NodeInfo", "One operation of a model.", ALL(node_info_fields)},
    [MTF_PY_UNIT_PLAN] = {"mtfreeze._core.UnitPlan", "What a plan does with one unit.", ALL(unit_plan_fields)},
    [MTF_PY_PLAN_INFO] = {"mtfreeze._core.PlanInfo", "What a plan runs, keeps and costs.", ALL(plan_info_fields)},
    [MTF_PY_UPDATE_RESULT] = {"mtfreeze._core.UpdateResult", "What one update did.", ALL(update_result_fields)},
    [MTF_PY_RUNTIME_INFO] = {"mtfreeze._core.RuntimeInfo", "Kernels, BLAS and threads in use.", ALL(runtime_info_fields)},
    [MTF_PY_MEMORY_INFO] = {"mtfreeze._core.MemoryInfo", "Heap of the core.", ALL(memory_info_fields)},
    [MTF_PY_FLOPS] = {"mtfreeze._core.Flops", "Floating-point operations that were done.", ALL(flops_fields)},
};
/* clang-format on */

int mtf_py_results_init(mtf_py_state *state, PyObject *module)
{
    for (int i = 0; i < MTF_PY_N_RESULTS; i++) {
        PyTypeObject *type = PyStructSequence_NewType(&result_types[i]);
        if (type == NULL) {
            return -1;
        }
        Py_XSETREF(state->results[i], type);
        if (PyModule_AddType(module, type) < 0) {
            return -1;
        }
    }
    return 0;
}

PyObject *mtf_py_result(const mtf_py_state *state, int kind, PyObject **fields)
{
    int n = result_types[kind].n_in_sequence;
    int complete = 1;
    for (int i = 0; i < n; i++) {
        complete = complete && fields[i] != NULL;
    }
    PyObject *result = complete ? PyStructSequence_New(state->results[kind]) : NULL;
    for (int i = 0; i < n; i++) {
        if (result != NULL) {
            PyStructSequence_SetItem(result, i, fields[i]);
        } else {
            Py_XDECREF(fields[i]);
        }
    }
    return result;
}

PyObject *mtf_py_texts(const char *const *texts, size_t n)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)n);
    for (size_t i = 0; tuple != NULL && i < n; i++) {
        PyObject *text = PyUnicode_FromString(texts[i]);
        if (text == NULL) {
            Py_CLEAR(tuple);
        } else {
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, text);
        }
    }
    return tuple;
}

PyObject *mtf_py_list_of(mtf_py_model *self, size_t n, PyObject *(*make)(mtf_py_model *, size_t))
{
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list != NULL && i < n; i++) {
        PyObject *item = make(self, i);
        if (item == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
        }
    }
    return list;
}
