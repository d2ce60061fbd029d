/* program.c: the lists of a program, and declaring what is in them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

#include "../base/alloc.h"
#include "../base/status.h"

#include <string.h>

/* Values of an output that count as one row of a budget, where heads choose the rows. Logits of a
 * vocabulary, with their gradient, take more than all that is kept of a token. */
#define COST_WIDTH 4096

int mtf_program_grow(mtf_program *p, void *list, int32_t n, int32_t *capacity, size_t size)
{
    if (p->failure.code != MTF_OK) {
        return 0;
    }
    if (n < *capacity) {
        return 1;
    }
    int32_t wanted = *capacity ? 2 * *capacity : 16;
    void *old;
    memcpy(&old, list, sizeof old);
    void *grown = mtf_realloc(old, (size_t)wanted * size);
    if (grown == NULL) {
        (void)mtf_fail_memory(&p->failure, (size_t)wanted * size);
        return 0;
    }
    memcpy(list, &grown, sizeof grown);
    *capacity = wanted;
    memset((char *)grown + (size_t)n * size, 0, (size_t)(wanted - n) * size);
    return 1;
}

static char *copy_text(mtf_program *p, const char *text)
{
    char *copy = mtf_alloc_text(text);
    if (copy == NULL) {
        (void)mtf_fail_memory(&p->failure, strlen(text) + 1);
    }
    return copy;
}

mtf_program *mtf_program_new(void)
{
    mtf_program *p = mtf_alloc_zero(sizeof *p);
    if (p == NULL) {
        return NULL;
    }
    p->current_unit = MTF_NO_UNIT;
    (void)mtf_program_space(p, "sequences", 1);
    return p;
}

void mtf_program_free(mtf_program *p)
{
    if (p == NULL) {
        return;
    }
    for (int32_t i = 0; i < p->n_tensors; i++) {
        mtf_free(p->tensors[i].name);
    }
    for (int32_t i = 0; i < p->n_params; i++) {
        for (int32_t a = 0; a < p->params[i].n_aliases; a++) {
            mtf_free(p->params[i].aliases[a]);
        }
        mtf_free(p->params[i].aliases);
        mtf_free(p->params[i].key);
    }
    for (int32_t i = 0; i < p->n_units; i++) {
        mtf_free(p->units[i].path);
    }
    for (int32_t i = 0; i < p->n_spaces; i++) {
        mtf_free(p->spaces[i].name);
    }
    for (int32_t i = 0; i < p->n_nodes; i++) {
        mtf_free(p->nodes[i].label);
    }
    for (int32_t i = 0; i < p->n_outputs; i++) {
        mtf_free(p->outputs[i].name);
    }
    mtf_free(p->tensors);
    mtf_free(p->params);
    mtf_free(p->units);
    mtf_free(p->spaces);
    mtf_free(p->nodes);
    mtf_free(p->outputs);
    mtf_free(p);
}

mtf_status mtf_program_finish(const mtf_program *p, mtf_error *err)
{
    if (p->failure.code != MTF_OK) {
        if (err != NULL) {
            *err = p->failure;
        }
        return p->failure.code;
    }
    int32_t n_own = 0;
    for (int32_t s = 0; s < p->n_spaces; s++) {
        n_own += !p->spaces[s].of_heads;
    }
    if (n_own == 1) {
        return mtf_fail(err, MTF_ERR_CONFIG,
                        "a program needs a row space beside \"sequences\", whose offsets say how "
                        "many sequences a batch has; declare one, of at most 1 row if need be");
    }
    return MTF_OK;
}

void mtf_program_fail(mtf_program *p, mtf_status code, const char *text)
{
    if (p->failure.code == MTF_OK) {
        (void)mtf_fail(&p->failure, code, "%s", text);
    }
}

int32_t mtf_program_space(mtf_program *p, const char *name, int64_t max_length)
{
    if (p->n_spaces == MTF_MAX_SPACES) {
        mtf_program_fail(p, MTF_ERR_CONFIG, "a program has at most 12 row spaces");
    }
    if (!MTF_GROW(p, spaces)) {
        return 0;
    }
    p->spaces[p->n_spaces].name = copy_text(p, name);
    p->spaces[p->n_spaces].max_length = max_length;
    p->spaces[p->n_spaces].row_cost = 1;
    p->spaces[p->n_spaces].rows_per_token = 1;
    return p->n_spaces++;
}

int32_t mtf_program_space_of_heads(mtf_program *p, const char *name, int64_t max_length)
{
    for (int32_t s = 0; s < p->n_spaces; s++) {
        if (p->spaces[s].name != NULL && strcmp(p->spaces[s].name, name) == 0) {
            return s;
        }
    }
    const int32_t space = mtf_program_space(p, name, max_length);
    if (p->failure.code == MTF_OK) {
        p->spaces[space].of_heads = 1;
    }
    return space;
}

/* Adds an input of which all but role, name and node is set. */
static mtf_tensor_id add_input(mtf_program *p, const char *name, mtf_tensor input)
{
    if (p->n_inputs == MTF_MAX_INPUTS || p->n_nodes > 0) {
        mtf_program_fail(p, MTF_ERR_CONFIG,
                         "a program has at most 8 inputs, declared before its first node");
    }
    if (!MTF_GROW(p, tensors)) {
        return MTF_NO_TENSOR;
    }
    input.role = MTF_ROLE_INPUT;
    input.name = copy_text(p, name);
    input.node = -1;
    p->tensors[p->n_tensors++] = input;
    return p->n_inputs++;
}

mtf_tensor_id mtf_program_input_ids(mtf_program *p, const char *name, int32_t space, int64_t limit,
                                    int optional)
{
    const mtf_tensor input = {
        .space = space, .width = 1, .is_ids = 1, .limit = limit, .optional = optional};
    return add_input(p, name, input);
}

mtf_tensor_id mtf_program_input_rows(mtf_program *p, const char *name, int32_t space, int64_t width)
{
    return add_input(p, name, (mtf_tensor){.space = space, .width = width});
}

static int32_t find_unit(const mtf_program *p, const char *path)
{
    for (int32_t u = 0; u < p->n_units; u++) {
        if (p->units[u].path != NULL && strcmp(p->units[u].path, path) == 0) {
            return u;
        }
    }
    return MTF_NO_UNIT;
}

void mtf_program_unit(mtf_program *p, const char *path, int is_head)
{
    p->current_unit = find_unit(p, path);
    if (p->current_unit != MTF_NO_UNIT) {
        if (is_head || p->units[p->current_unit].is_head) {
            mtf_program_fail(p, MTF_ERR_CONFIG,
                             "a head is called like a unit of the backbone or like another head; "
                             "choose another name");
        }
        return;
    }
    if (!MTF_GROW(p, units)) {
        return;
    }
    p->units[p->n_units] =
        (mtf_unit_def){.path = copy_text(p, path), .is_head = is_head, .first_param = p->n_params};
    p->current_unit = p->n_units++;
}

void mtf_program_end_unit(mtf_program *p)
{
    p->current_unit = MTF_NO_UNIT;
}

int32_t mtf_program_param(mtf_program *p, const char *key, int32_t n_dims, const int64_t *shape,
                          mtf_layout layout, int decays, mtf_init init, double init_bound)
{
    int32_t found = mtf_program_find_param(p, key);
    if (found >= 0) {
        return found;
    }
    if (p->current_unit == MTF_NO_UNIT) {
        mtf_program_fail(p, MTF_ERR_CONFIG, "a parameter was declared outside of a unit");
    } else if (p->current_unit != p->n_units - 1) {
        mtf_program_fail(p, MTF_ERR_CONFIG,
                         "a unit that was continued declared a new parameter; declare all "
                         "parameters of a unit before the next one begins");
    }
    if (!MTF_GROW(p, params)) {
        return -1;
    }
    mtf_param_def *def = &p->params[p->n_params];
    *def = (mtf_param_def){.key = copy_text(p, key),
                           .unit = p->current_unit,
                           .n_dims = n_dims,
                           .size = 1,
                           .layout = layout,
                           .decays = decays,
                           .init = init,
                           .init_bound = init_bound};
    for (int32_t d = 0; d < n_dims; d++) {
        if (shape[d] < 1 || def->size > (INT64_C(1) << 40) / shape[d]) {
            mtf_program_fail(p, MTF_ERR_CONFIG, "a parameter's shape is empty or too large");
            mtf_free(def->key);
            def->key = NULL;
            return -1;
        }
        def->shape[d] = shape[d];
        def->size *= shape[d];
    }
    p->units[p->current_unit].n_params++;
    return p->n_params++;
}

int32_t mtf_program_buffer(mtf_program *p, const char *key, int64_t n, mtf_init init)
{
    const int32_t param = mtf_program_param(p, key, 1, &n, MTF_LAYOUT_OUT_IN, 0, init, 0);
    if (param >= 0) {
        p->params[param].is_buffer = 1;
    }
    return param;
}

int32_t mtf_program_statistic(mtf_program *p, const char *key, int64_t n, mtf_init init,
                              double momentum, int32_t moves_with)
{
    const int32_t param = mtf_program_buffer(p, key, n, init);
    if (param >= 0) {
        p->params[param].motion = momentum > 0 ? MTF_FOLLOWS : MTF_COUNTS;
        p->params[param].momentum = momentum;
        p->params[param].moves_with = moves_with >= 0 ? moves_with : param;
    }
    return param;
}

void mtf_program_alias(mtf_program *p, int32_t param, const char *key)
{
    if (p->failure.code != MTF_OK || param < 0) {
        return;
    }
    mtf_param_def *def = &p->params[param];
    if (!mtf_program_grow(p, &def->aliases, def->n_aliases, &def->capacity_aliases,
                          sizeof *def->aliases)) {
        return;
    }
    def->aliases[def->n_aliases] = copy_text(p, key);
    if (def->aliases[def->n_aliases] != NULL) {
        def->n_aliases++;
    }
}

void mtf_program_output(mtf_program *p, const char *name, mtf_tensor_id tensor)
{
    if (tensor != MTF_NO_TENSOR && tensor < p->n_inputs) {
        mtf_program_fail(p, MTF_ERR_CONFIG, "an input cannot be an output; name what reads it");
    }
    if (tensor == MTF_NO_TENSOR || !MTF_GROW(p, outputs)) {
        return;
    }
    p->outputs[p->n_outputs].name = copy_text(p, name);
    p->outputs[p->n_outputs].tensor = tensor;
    p->n_outputs++;
    mtf_space_def *space = &p->spaces[p->tensors[tensor].space];
    const int64_t cost = (p->tensors[tensor].width + COST_WIDTH - 1) / COST_WIDTH;
    if (space->of_heads && cost > space->row_cost) {
        space->row_cost = cost;
    }
}

void mtf_program_parts(mtf_program *p, mtf_tensor_id tensor, int64_t parts)
{
    if (tensor != MTF_NO_TENSOR) {
        p->tensors[tensor].parts = parts;
    }
}

mtf_tensor_id mtf_program_find_input(const mtf_program *p, const char *name)
{
    for (mtf_tensor_id t = 0; t < p->n_inputs; t++) {
        if (p->tensors[t].name != NULL && strcmp(p->tensors[t].name, name) == 0) {
            return t;
        }
    }
    return MTF_NO_TENSOR;
}

mtf_tensor_id mtf_program_find_output(const mtf_program *p, const char *name)
{
    for (int32_t i = 0; i < p->n_outputs; i++) {
        if (p->outputs[i].name != NULL && strcmp(p->outputs[i].name, name) == 0) {
            return p->outputs[i].tensor;
        }
    }
    return MTF_NO_TENSOR;
}

const char *mtf_program_output_name(const mtf_program *p, mtf_tensor_id tensor)
{
    for (int32_t i = 0; i < p->n_outputs; i++) {
        if (p->outputs[i].tensor == tensor) {
            return p->outputs[i].name;
        }
    }
    return NULL;
}

void mtf_program_mark_constant(const mtf_program *p, unsigned char *constant)
{
    memset(constant, 0, (size_t)p->n_tensors);
    for (int32_t i = 0; i < p->n_nodes; i++) {
        const mtf_node *node = &p->nodes[i];
        int reads_input = 0;
        for (int k = 0; k < MTF_MAX_IN; k++) {
            reads_input |= node->in[k] != MTF_NO_TENSOR && !constant[node->in[k]];
        }
        for (int o = 0; o < MTF_MAX_OUT; o++) {
            if (node->out[o] != MTF_NO_TENSOR) {
                constant[node->out[o]] = !reads_input;
            }
        }
    }
}

int32_t mtf_program_find_param(const mtf_program *p, const char *key)
{
    for (int32_t i = 0; i < p->n_params; i++) {
        if (p->params[i].key != NULL && strcmp(p->params[i].key, key) == 0) {
            return i;
        }
        for (int32_t a = 0; a < p->params[i].n_aliases; a++) {
            if (strcmp(p->params[i].aliases[a], key) == 0) {
                return i;
            }
        }
    }
    return -1;
}

int32_t mtf_program_word_table(const mtf_program *p)
{
    for (int32_t i = 0; i < p->n_nodes; i++) {
        if (p->nodes[i].op == &mtf_op_embedding) {
            return p->nodes[i].weight[0];
        }
    }
    return -1;
}
