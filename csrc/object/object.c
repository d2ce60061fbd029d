/* object.c: making, describing and changing a model: heads, parameters, freeze state.
 * SPDX-License-Identifier: Apache-2.0 */
#include "object.h"

#include "../base/alloc.h"
#include "../base/status.h"
#include "../model/registry.h"

#include <string.h>

static void drop_plans(mtf_model *model)
{
    for (int i = 0; i < MTF_MAX_PLANS; i++) {
        mtf_plan_free(model->plans[i]);
        model->plans[i] = NULL;
        model->plan_used[i] = 0;
    }
}

void mtf_object_stop_waiting(mtf_model *model)
{
    model->session.plan = NULL;
}

void mtf_object_close_session(mtf_model *model)
{
    model->session.open = 0;
    mtf_object_stop_waiting(model);
}

/* After the program changed; the tables were made large enough before. */
static void program_changed(mtf_model *model)
{
    drop_plans(model);
    mtf_object_close_session(model);
    model->chunks_valid = 0;
    model->freeze_version++;
    model->version++;
}

/* Scratch for as many names as a program with `extra` more outputs has. */
static mtf_status reserve_names(mtf_model *model, size_t extra, mtf_error *err)
{
    size_t n = (size_t)model->network->program->n_outputs + extra + 1;
    mtf_tensor_id *wanted = mtf_realloc(model->wanted, n * sizeof *wanted);
    if (wanted == NULL) {
        return mtf_fail_memory(err, n * sizeof *wanted);
    }
    model->wanted = wanted;
    mtf_real **caller = mtf_realloc(model->caller, n * sizeof *caller);
    if (caller == NULL) {
        return mtf_fail_memory(err, n * sizeof *caller);
    }
    model->caller = caller;
    return MTF_OK;
}

mtf_status mtf_object_new(const mtf_family *family, const mtf_config *config, mtf_model **out,
                          mtf_error *err)
{
    mtf_model *model = mtf_alloc_zero(sizeof *model);
    if (model == NULL) {
        return mtf_fail_memory(err, sizeof *model);
    }
    mtf_status status = mtf_network_new(family, config, &model->network, err);
    if (status == MTF_OK) {
        status = reserve_names(model, 0, err);
    }
    if (status != MTF_OK) {
        mtf_model_free(model);
        return status;
    }
    *out = model;
    return MTF_OK;
}

mtf_status mtf_model_new(const mtf_config *config, mtf_model **out, mtf_error *err)
{
    const mtf_family *family = NULL;
    MTF_TRY(mtf_family_find(config, &family, err));
    return mtf_object_new(family, config, out, err);
}

void mtf_model_free(mtf_model *model)
{
    if (model == NULL) {
        return;
    }
    drop_plans(model);
    mtf_workspace_clear(&model->workspace);
    mtf_network_free(model->network);
    mtf_free(model->wanted);
    mtf_free(model->caller);
    mtf_free(model->chunks);
    mtf_free(model->partial_sums);
    mtf_free(model->updates);
    mtf_free(model->step_losses);
    mtf_free(model->loss_work);
    mtf_free(model);
}

mtf_status mtf_model_add_head(mtf_model *model, const char *name, const mtf_config *config,
                              uint64_t seed, mtf_error *err)
{
    MTF_TRY(reserve_names(model, 1, err));
    MTF_TRY(mtf_network_add_head(model->network, name, config, seed, err));
    program_changed(model);
    return MTF_OK;
}

mtf_status mtf_model_remove_head(mtf_model *model, const char *name, mtf_error *err)
{
    int32_t first, n;
    MTF_TRY(mtf_network_remove_head(model->network, name, &first, &n, err));
    program_changed(model);
    return MTF_OK;
}

mtf_status mtf_model_set_adapter(mtf_model *model, const mtf_config *config, uint64_t seed,
                                 mtf_error *err)
{
    MTF_TRY(mtf_network_set_adapter(model->network, config, seed, err));
    program_changed(model);
    return MTF_OK;
}

uint64_t mtf_model_version(const mtf_model *model)
{
    return model->version;
}

size_t mtf_model_n_params(const mtf_model *model)
{
    return (size_t)model->network->program->n_params;
}

size_t mtf_model_n_units(const mtf_model *model)
{
    return (size_t)model->network->program->n_units;
}

size_t mtf_model_n_spaces(const mtf_model *model)
{
    return (size_t)model->network->program->n_spaces;
}

size_t mtf_model_n_inputs(const mtf_model *model)
{
    return (size_t)model->network->program->n_inputs;
}

size_t mtf_model_n_outputs(const mtf_model *model)
{
    return (size_t)model->network->program->n_outputs;
}

void mtf_model_get_param(const mtf_model *model, size_t index, mtf_param_info *info)
{
    const mtf_param_def *def = &model->network->program->params[index];
    const mtf_param *param = &model->network->params[index];
    *info = (mtf_param_info){
        .key = def->key,
        .unit = def->unit,
        .n_dims = def->n_dims,
        .size = def->size,
        .data = param->data,
        .version = param->handle.version,
        .decays = def->decays,
        .in_products = def->in_products,
        .convolves = def->layout == MTF_LAYOUT_TAPS,
        .is_buffer = def->is_buffer,
        .moves = def->motion != MTF_STANDS,
        .frozen = def->is_buffer ? mtf_network_stands(model->network, NULL, (int32_t)index)
                                 : param->frozen,
        .precision = param->precision,
        .n_steps = param->n_steps,
        .n_aliases = def->n_aliases,
        .aliases = (const char *const *)def->aliases};
    memcpy(info->shape, def->shape, sizeof info->shape);
}

mtf_values *mtf_model_hold_values(const mtf_model *model, size_t index)
{
    return mtf_values_hold(model->network->params[index].values);
}

void mtf_model_get_unit(const mtf_model *model, size_t index, mtf_unit_info *info)
{
    const mtf_unit_def *def = &model->network->program->units[index];
    *info =
        (mtf_unit_info){.path = def->path,
                        .is_head = def->is_head,
                        .first_param = def->first_param,
                        .n_params = def->n_params,
                        .frozen = mtf_network_unit_frozen(model->network, NULL, (int32_t)index)};
    for (int32_t i = def->first_param; i < def->first_param + def->n_params; i++) {
        int64_t size = model->network->program->params[i].size;
        info->n_values += size;
        info->n_values_frozen +=
            model->network->params[i].frozen &&
                    (info->frozen || !model->network->program->params[i].is_buffer)
                ? size
                : 0;
    }
}

void mtf_model_get_space(const mtf_model *model, size_t index, mtf_space_info *info)
{
    const mtf_space_def *def = &model->network->program->spaces[index];
    *info =
        (mtf_space_info){.name = def->name,
                         .max_length = def->max_length,
                         .of_heads = def->of_heads,
                         .row_cost = def->row_cost,
                         .rows_per_token = def->rows_per_token,
                         .is_grid = def->is_grid,
                         .height = def->height,
                         .width = def->width,
                         .of = def->of > 0 ? model->network->program->spaces[def->of].name : NULL,
                         .kernel = def->windows.kernel,
                         .stride = def->windows.stride,
                         .padding = def->windows.padding,
                         .extra = def->extra,
                         .ceil = def->windows.ceil,
                         .fixed = def->fixed};
}

void mtf_model_get_input(const mtf_model *model, size_t index, mtf_input_info *info)
{
    const mtf_program *program = model->network->program;
    const mtf_tensor *tensor = &program->tensors[index];
    *info = (mtf_input_info){.name = tensor->name,
                             .space = program->spaces[tensor->space].name,
                             .width = tensor->is_ids ? 0 : tensor->width,
                             .limit = tensor->limit,
                             .optional = tensor->optional};
}

void mtf_model_get_output(const mtf_model *model, size_t index, mtf_output_info *info)
{
    const mtf_program *program = model->network->program;
    const mtf_tensor *tensor = &program->tensors[program->outputs[index].tensor];
    *info = (mtf_output_info){.name = program->outputs[index].name,
                              .space = program->spaces[tensor->space].name,
                              .width = tensor->width,
                              .tensor = program->outputs[index].tensor};
}

mtf_status mtf_model_set_param(mtf_model *model, size_t index, const mtf_real *values, size_t n,
                               mtf_error *err)
{
    if (index >= mtf_model_n_params(model)) {
        return mtf_fail(err, MTF_ERR_NAME, "there is no parameter %zu", index);
    }
    const mtf_param_def *def = &model->network->program->params[index];
    if ((int64_t)n != def->size) {
        return mtf_fail(err, MTF_ERR_SHAPE, "parameter \"%s\" has %lld values, found %zu", def->key,
                        (long long)def->size, n);
    }
    mtf_param *param = &model->network->params[index];
    mtf_object_stop_waiting(model);
    memmove(param->data, values, n * sizeof *values);
    param->handle.version++;
    model->version++;
    return MTF_OK;
}

mtf_status mtf_object_check_mask(const mtf_model *model, const mtf_freeze_mask *mask,
                                 mtf_error *err)
{
    const size_t n_params = mtf_model_n_params(model), n_units = mtf_model_n_units(model);
    if (mask != NULL && (mask->n_params != n_params || mask->n_units != n_units)) {
        return mtf_fail(err, MTF_ERR_SHAPE,
                        "the freeze mask must have %zu parameters and %zu units, found %zu and %zu",
                        n_params, n_units, mask->n_params, mask->n_units);
    }
    return MTF_OK;
}

mtf_status mtf_model_set_frozen(mtf_model *model, const uint8_t *params, size_t n_params,
                                const uint8_t *units, size_t n_units, mtf_error *err)
{
    mtf_network *network = model->network;
    const mtf_freeze_mask mask = {params, n_params, units, n_units};
    MTF_TRY(mtf_object_check_mask(model, &mask, err));
    for (size_t i = 0; i < n_params; i++) {
        network->params[i].frozen = mtf_network_param_frozen(network, &mask, (int32_t)i);
        network->params[i].stands = params[i] != 0;
        if (network->params[i].frozen) {
            mtf_param_drop_state(&network->params[i]);
        }
    }
    for (int32_t h = 0; h < network->n_heads; h++) {
        for (size_t u = 0; u < n_units; u++) {
            if (network->program->units[u].is_head &&
                strcmp(network->program->units[u].path, network->heads[h].name) == 0) {
                network->heads[h].frozen = units[u] != 0;
            }
        }
    }
    model->freeze_version++;
    model->version++;
    model->chunks_valid = 0;
    mtf_object_close_session(model);
    return MTF_OK;
}

mtf_status mtf_model_set_precision(mtf_model *model, const uint8_t *params, size_t n_params,
                                   mtf_error *err)
{
    if (n_params != mtf_model_n_params(model)) {
        return mtf_fail(err, MTF_ERR_SHAPE,
                        "the precisions must be those of %zu parameters, found %zu",
                        mtf_model_n_params(model), n_params);
    }
    for (size_t i = 0; i < n_params; i++) {
        if (params[i] >= MTF_N_PRECISIONS) {
            return mtf_fail(err, MTF_ERR_VALUE,
                            "the precision of parameter %zu must be 0 (fp32), 1 (bf16) or 2 "
                            "(int8), found %d",
                            i, params[i]);
        }
    }
    for (size_t i = 0; i < n_params; i++) {
        mtf_param *param = &model->network->params[i];
        if (param->precision != (mtf_precision)params[i]) {
            mtf_forms_free(&param->handle); /* those in the earlier precision are of no more use */
        }
        param->precision = (mtf_precision)params[i];
    }
    model->freeze_version++;
    model->version++;
    mtf_object_close_session(model);
    return MTF_OK;
}

mtf_status mtf_object_plan(mtf_model *model, const mtf_request *request, mtf_plan **plan,
                           mtf_error *err)
{
    int oldest = -1; /* but that of a forward which waits for its backward */
    for (int i = 0; i < MTF_MAX_PLANS; i++) {
        if (model->plans[i] != NULL &&
            mtf_plan_matches(model->plans[i], model->freeze_version, request)) {
            model->plan_used[i] = ++model->clock;
            *plan = model->plans[i];
            return MTF_OK;
        }
        const int waits = model->plans[i] != NULL && model->plans[i] == model->session.plan;
        if (!waits && (oldest < 0 || model->plan_used[i] < model->plan_used[oldest])) {
            oldest = i;
        }
    }
    mtf_plan *fresh = NULL;
    MTF_TRY(mtf_plan_new(model->network, model->freeze_version, request, &fresh, err));
    mtf_plan *old = model->plans[oldest];
    model->plans[oldest] = fresh; /* a process forked here and now has one plan or the other */
    mtf_plan_free(old);
    model->plan_used[oldest] = ++model->clock;
    *plan = fresh;
    return MTF_OK;
}

mtf_status mtf_object_count(const mtf_model *model, size_t n, mtf_error *err)
{
    return n <= mtf_model_n_outputs(model)
               ? MTF_OK
               : mtf_fail(err, MTF_ERR_VALUE, "%zu outputs were asked for, the model has %zu", n,
                          mtf_model_n_outputs(model));
}

mtf_status mtf_object_output(const mtf_model *model, const char *name, mtf_tensor_id *tensor,
                             mtf_error *err)
{
    *tensor = mtf_program_find_output(model->network->program, name);
    return *tensor != MTF_NO_TENSOR
               ? MTF_OK
               : mtf_fail(err, MTF_ERR_NAME, "there is no output \"%s\"", name);
}

mtf_status mtf_object_loss(const mtf_model *model, const char *output, const char *kind,
                           const mtf_loss_kind **loss, mtf_error *err)
{
    if (kind == NULL) {
        const mtf_head *head = mtf_network_find_head(model->network, output);
        if (head == NULL) {
            return mtf_fail(err, MTF_ERR_NAME,
                            "a loss of \"%s\" must name its kind: only heads have one of their own",
                            output);
        }
        kind = head->kind->loss;
        if (kind == NULL) {
            return mtf_fail(
                err, MTF_ERR_NAME,
                "a head of kind \"%s\" such as \"%s\" has no loss of its own; inject the "
                "gradient of one at its output",
                head->kind->kind, output);
        }
    }
    return mtf_loss_find(kind, loss, err);
}

mtf_status mtf_model_get_loss(const mtf_model *model, const char *output, const char *kind,
                              mtf_loss_info *info, mtf_error *err)
{
    const mtf_loss_kind *loss = NULL;
    MTF_TRY(mtf_object_loss(model, output, kind, &loss, err));
    mtf_tensor_id tensor;
    MTF_TRY(mtf_object_output(model, output, &tensor, err));
    *info = (mtf_loss_info){
        .kind = loss->name,
        .type = loss->targets,
        .width = mtf_loss_columns(loss, model->network->program->tensors[tensor].width)};
    return MTF_OK;
}

mtf_status mtf_object_outputs(mtf_model *model, size_t n, const char *const *names, mtf_error *err)
{
    MTF_TRY(mtf_object_count(model, n, err));
    for (size_t i = 0; i < n; i++) {
        MTF_TRY(mtf_object_output(model, names[i], &model->wanted[i], err));
    }
    return MTF_OK;
}

mtf_status mtf_object_view(mtf_model *model, const mtf_batch *batch, mtf_view *view, mtf_error *err)
{
    const int64_t n = batch->n_sequences; /* out of range: refused by the check */
    MTF_TRY(mtf_workspace_identity(&model->workspace, n >= 0 && n <= MTF_MAX_COUNT ? n : 0, err));
    return mtf_batch_check(model->network->program, batch, model->workspace.identity,
                           model->workspace.none, view, err);
}
