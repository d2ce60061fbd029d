/* network.c: building, growing and shrinking a network; see network.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "network.h"

#include "../base/alloc.h"
#include "../base/random.h"
#include "../base/status.h"
#include "adapter.h"

#include <string.h>

mtf_status mtf_network_program(const mtf_family *family, const mtf_config *config,
                               const mtf_config *adapter, const mtf_head *heads, int32_t n_heads,
                               mtf_program **program, mtf_error *err)
{
    mtf_program *fresh = mtf_program_new();
    if (fresh == NULL) {
        return mtf_fail_memory(err, sizeof *fresh);
    }
    mtf_status status = MTF_OK;
    for (int32_t i = 0; status == MTF_OK && i < n_heads; i++) {
        if (heads[i].kind->declare != NULL) {
            status = heads[i].kind->declare(fresh, heads[i].name, heads[i].config, err);
        }
    }
    if (status == MTF_OK) {
        status = mtf_family_build(family, fresh, config, err);
    }
    if (status == MTF_OK && adapter != NULL) {
        status = mtf_adapter_build(fresh, adapter, err);
    }
    for (int32_t i = 0; status == MTF_OK && i < n_heads; i++) {
        status = heads[i].kind->build(fresh, heads[i].name, heads[i].config, err);
    }
    if (status == MTF_OK) {
        status = mtf_program_finish(fresh, err);
    }
    if (status != MTF_OK) {
        mtf_program_free(fresh);
        return status;
    }
    *program = fresh;
    return MTF_OK;
}

/* A value count rounded up to whole cache lines. */
static int64_t padded(int64_t size)
{
    return (size + 15) / 16 * 16;
}

static void set_handle(mtf_param *param, const mtf_param_def *def)
{
    param->handle.master = param->data;
    param->handle.rows = def->shape[0];
    param->handle.cols = def->size / def->shape[0];
    param->handle.layout = def->layout;
    if (def->layout == MTF_LAYOUT_TAPS) {
        param->handle.taps = param->handle.cols / def->shape[1];
    }
}

static void draw(mtf_param *param, const mtf_param_def *def, uint64_t seed)
{
    if (def->init == MTF_INIT_UNIFORM) {
        uint64_t key = mtf_random_mix(mtf_random_text_key(def->key), seed);
        mtf_random_uniform(param->data, def->size, key, def->init_bound);
        return;
    }
    for (int64_t i = 0; i < def->size; i++) {
        param->data[i] = def->init == MTF_INIT_ONE ? 1 : 0;
    }
}

/* Gives parameters first .. last - 1 of `program` their memory, *values, in `params` and fills them. */
static mtf_status add_values(mtf_values **values, const mtf_program *program, mtf_param *params,
                             int32_t first, int32_t last, uint64_t seed, mtf_error *err)
{
    int64_t total = 0;
    for (int32_t i = first; i < last; i++) {
        total += padded(program->params[i].size);
    }
    *values = mtf_values_new(total);
    if (*values == NULL) {
        return mtf_fail_memory(err, (size_t)total * sizeof(mtf_real));
    }
    mtf_real *data = mtf_values_data(*values);
    for (int32_t i = first; i < last; i++) {
        params[i].values = *values;
        params[i].data = data;
        params[i].frozen = program->params[i].is_buffer;
        set_handle(&params[i], &program->params[i]);
        draw(&params[i], &program->params[i], seed);
        data += padded(program->params[i].size);
    }
    return MTF_OK;
}

mtf_status mtf_network_new(const mtf_family *family, const mtf_config *config,
                           mtf_network **network, mtf_error *err)
{
    mtf_network *n = mtf_alloc_zero(sizeof *n);
    if (n == NULL) {
        return mtf_fail_memory(err, sizeof *n);
    }
    mtf_status status = MTF_OK;
    n->family = family;
    n->config = mtf_config_copy(config);
    if (n->config == NULL) {
        status = mtf_fail_memory(err, sizeof(void *));
        goto fail;
    }
    status = mtf_network_program(family, n->config, NULL, NULL, 0, &n->program, err);
    if (status != MTF_OK) {
        goto fail;
    }
    n->params = mtf_alloc_zero((size_t)n->program->n_params * sizeof *n->params);
    if (n->params == NULL) {
        status = mtf_fail_memory(err, (size_t)n->program->n_params * sizeof *n->params);
        goto fail;
    }
    status = add_values(&n->values, n->program, n->params, 0, n->program->n_params, 0, err);
    if (status != MTF_OK) {
        goto fail;
    }
    *network = n;
    return MTF_OK;
fail:
    mtf_network_free(n);
    return status;
}

void mtf_param_drop_state(mtf_param *param)
{
    mtf_free(param->gradient);
    mtf_free(param->moment1);
    mtf_free(param->moment2);
    mtf_free(param->rows);
    mtf_free(param->found);
    param->rows = NULL;
    param->found = NULL;
    param->is_found = 0;
    param->gradient = param->moment1 = param->moment2 = NULL;
    param->moment_most = 0;
    param->n_steps = 0;
    param->reached = 0;
}

void mtf_network_reach_rows(const mtf_network *n, size_t index)
{
    uint8_t *rows = n->params[index].rows;
    if (rows != NULL) {
        memset(rows, MTF_ROW_REACHED, (size_t)n->program->params[index].shape[0]);
    }
}

const mtf_head *mtf_network_find_head(const mtf_network *n, const char *name)
{
    for (int32_t i = 0; i < n->n_heads; i++) {
        if (strcmp(n->heads[i].name, name) == 0) {
            return &n->heads[i];
        }
    }
    return NULL;
}

void mtf_head_clear(mtf_head *head)
{
    mtf_free(head->name);
    mtf_config_free(head->config);
    mtf_values_release(head->values);
}

void mtf_network_free(mtf_network *n)
{
    if (n == NULL) {
        return;
    }
    for (int32_t i = 0; i < n->n_heads; i++) {
        mtf_head_clear(&n->heads[i]);
    }
    for (int32_t i = 0; n->params != NULL && i < n->program->n_params; i++) {
        mtf_param_drop_state(&n->params[i]);
        mtf_forms_free(&n->params[i].handle);
    }
    mtf_free(n->heads);
    mtf_values_release(n->adapter_values);
    mtf_config_free(n->adapter);
    mtf_values_release(n->values);
    mtf_free(n->params);
    mtf_program_free(n->program);
    mtf_config_free(n->config);
    mtf_free(n);
}

/* Puts `program`, which has more parameters from index `first` on, in the place of the network's, and
 * gives the new ones their memory, *values. On failure the network is as before. */
static mtf_status take_program(mtf_network *n, mtf_program *program, int32_t first,
                               mtf_values **values, uint64_t seed, mtf_error *err)
{
    const int32_t n_old = n->program->n_params;
    const int32_t behind = first + program->n_params - n_old;
    mtf_param *params = mtf_alloc_zero((size_t)program->n_params * sizeof *params);
    if (params == NULL) {
        return mtf_fail_memory(err, (size_t)program->n_params * sizeof *params);
    }
    memcpy(params, n->params, (size_t)first * sizeof *params);
    memcpy(params + behind, n->params + first, (size_t)(n_old - first) * sizeof *params);
    mtf_status status = add_values(values, program, params, first, behind, seed, err);
    if (status != MTF_OK) {
        mtf_free(params);
        return status;
    }
    mtf_program_free(n->program);
    mtf_free(n->params);
    n->program = program;
    n->params = params;
    return MTF_OK;
}

mtf_status mtf_network_add_head(mtf_network *n, const char *name, const mtf_config *config,
                                uint64_t seed, mtf_error *err)
{
    if (name[0] == '\0' || mtf_program_find_output(n->program, name) != MTF_NO_TENSOR) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "a head named \"%s\" cannot be added: the name is empty or taken by a head "
                        "or an output of the backbone; choose another",
                        name);
    }
    mtf_status status = MTF_OK;
    mtf_program *program = NULL;
    mtf_head *heads = mtf_realloc(n->heads, (size_t)(n->n_heads + 1) * sizeof *heads);
    if (heads == NULL) {
        return mtf_fail_memory(err, (size_t)(n->n_heads + 1) * sizeof *heads);
    }
    n->heads = heads;
    mtf_head *head = &heads[n->n_heads];
    *head = (mtf_head){.name = mtf_alloc_text(name), .config = mtf_config_copy(config)};
    if (head->name == NULL || head->config == NULL) {
        status = mtf_fail_memory(err, strlen(name) + 1);
        goto fail;
    }
    status = mtf_head_kind_find(head->config, name, &head->kind, err);
    if (status != MTF_OK) {
        goto fail;
    }
    status =
        mtf_network_program(n->family, n->config, n->adapter, heads, n->n_heads + 1, &program, err);
    if (status != MTF_OK) {
        goto fail;
    }
    status = take_program(n, program, n->program->n_params, &head->values, seed, err);
    if (status != MTF_OK) {
        goto fail;
    }
    n->n_heads++;
    return MTF_OK;
fail:
    mtf_head_clear(head);
    mtf_program_free(program);
    return status;
}

/* Forgets the parameters first .. first + n - 1 of a network, but for their values. */
static void drop_params(mtf_network *n, int32_t first, int32_t count)
{
    for (int32_t i = first; i < first + count; i++) {
        mtf_param_drop_state(&n->params[i]);
        mtf_forms_free(&n->params[i].handle);
    }
    memmove(&n->params[first], &n->params[first + count],
            (size_t)(n->program->n_params - first - count) * sizeof *n->params);
}

mtf_status mtf_network_remove_head(mtf_network *n, const char *name, int32_t *first, int32_t *count,
                                   mtf_error *err)
{
    int32_t at = 0;
    while (at < n->n_heads && strcmp(n->heads[at].name, name) != 0) {
        at++;
    }
    if (at == n->n_heads) {
        return mtf_fail(err, MTF_ERR_NAME, "there is no head \"%s\"", name);
    }
    mtf_head removed = n->heads[at];
    const mtf_unit_def *unit = NULL;
    for (int32_t i = 0; i < n->program->n_units; i++) {
        if (n->program->units[i].is_head && strcmp(n->program->units[i].path, name) == 0) {
            unit = &n->program->units[i];
        }
    }
    *first = unit != NULL ? unit->first_param : n->program->n_params;
    *count = unit != NULL ? unit->n_params : 0;
    memmove(&n->heads[at], &n->heads[at + 1], (size_t)(n->n_heads - at - 1) * sizeof *n->heads);
    mtf_program *program = NULL;
    mtf_status status = mtf_network_program(n->family, n->config, n->adapter, n->heads,
                                            n->n_heads - 1, &program, err);
    if (status != MTF_OK) {
        memmove(&n->heads[at + 1], &n->heads[at], (size_t)(n->n_heads - at - 1) * sizeof *n->heads);
        n->heads[at] = removed;
        return status;
    }
    drop_params(n, *first, *count);
    mtf_program_free(n->program);
    n->program = program;
    n->n_heads--;
    mtf_head_clear(&removed);
    return MTF_OK;
}

/* Index of the first of an adapter's parameters: its unit is the last before the heads. */
static int32_t find_adapter(const mtf_program *program)
{
    int32_t unit = 0;
    while (unit < program->n_units && !program->units[unit].is_head) {
        unit++;
    }
    return program->units[unit - 1].first_param;
}

static mtf_status remove_adapter(mtf_network *n, mtf_error *err)
{
    mtf_program *program = NULL;
    MTF_TRY(mtf_network_program(n->family, n->config, NULL, n->heads, n->n_heads, &program, err));
    drop_params(n, n->adapter_first, n->n_adapter);
    mtf_program_free(n->program);
    mtf_values_release(n->adapter_values);
    mtf_config_free(n->adapter);
    n->program = program;
    n->adapter_values = NULL;
    n->adapter = NULL;
    n->n_adapter = 0;
    return MTF_OK;
}

mtf_status mtf_network_set_adapter(mtf_network *n, const mtf_config *config, uint64_t seed,
                                   mtf_error *err)
{
    if ((config == NULL) == (n->adapter == NULL)) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        config == NULL
                            ? "there is no adapter to remove"
                            : "a model has one adapter at a time; remove the one that it "
                              "has first");
    }
    if (config == NULL) {
        return remove_adapter(n, err);
    }
    mtf_status status = MTF_OK;
    mtf_program *program = NULL;
    mtf_values *values = NULL;
    mtf_config *copy = mtf_config_copy(config);
    if (copy == NULL) {
        status = mtf_fail_memory(err, sizeof(void *));
        goto fail;
    }
    status = mtf_network_program(n->family, n->config, copy, n->heads, n->n_heads, &program, err);
    if (status != MTF_OK) {
        goto fail;
    }
    const int32_t count = program->n_params - n->program->n_params;
    const int32_t first = find_adapter(program);
    status = take_program(n, program, first, &values, seed, err);
    if (status != MTF_OK) {
        goto fail;
    }
    n->adapter = copy;
    n->adapter_values = values;
    n->adapter_first = first;
    n->n_adapter = count;
    return MTF_OK;
fail:
    mtf_config_free(copy);
    mtf_program_free(program);
    return status;
}

int mtf_network_param_frozen(const mtf_network *n, const mtf_freeze_mask *mask, int32_t param)
{
    return n->program->params[param].is_buffer ||
           (mask != NULL ? mask->params[param] != 0 : n->params[param].frozen);
}

int mtf_network_stands(const mtf_network *n, const mtf_freeze_mask *mask, int32_t param)
{
    const mtf_param_def *def = &n->program->params[param];
    if (def->motion == MTF_STANDS) {
        return 1;
    }
    return (mask != NULL ? mask->params[def->moves_with] != 0
                         : n->params[def->moves_with].stands) ||
           mtf_network_unit_frozen(n, mask, def->unit);
}

int mtf_network_unit_frozen(const mtf_network *n, const mtf_freeze_mask *mask, int32_t unit)
{
    const mtf_unit_def *def = &n->program->units[unit];
    if (def->n_params == 0 && def->is_head) {
        if (mask != NULL) {
            return mask->units[unit] != 0;
        }
        for (int32_t i = 0; i < n->n_heads; i++) {
            if (strcmp(n->heads[i].name, def->path) == 0) {
                return n->heads[i].frozen;
            }
        }
    }
    for (int32_t i = 0; i < def->n_params; i++) {
        if (!mtf_network_param_frozen(n, mask, def->first_param + i)) {
            return 0;
        }
    }
    return 1;
}
