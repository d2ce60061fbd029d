/* infer.c: outputs of a batch without training, and the price of a plan.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../base/alloc.h"
#include "../base/status.h"
#include "object.h"

#include <string.h>

mtf_status mtf_object_check_precision(int precision, int training, mtf_error *err)
{
    if (training && precision != MTF_PRECISION_F32 && precision != MTF_PRECISION_BF16) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "training runs in precision 0 (fp32) or 1 (bf16), found %d", precision);
    }
    const int plain = precision >= MTF_UNLESS_FROZEN ? precision - MTF_UNLESS_FROZEN : precision;
    if (precision != MTF_AS_FROZEN && (plain < 0 || plain >= MTF_N_PRECISIONS)) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "precision must be 0 (fp32), 1 (bf16), 2 (int8), %d plus one of these, or "
                        "%d, found %d",
                        MTF_UNLESS_FROZEN, MTF_AS_FROZEN, precision);
    }
    return MTF_OK;
}

static mtf_status forward(mtf_model *model, const mtf_batch *batch, size_t n_outputs,
                          const mtf_output *outputs, int precision, mtf_error *err)
{
    const mtf_program *program = model->network->program;
    mtf_view view;
    mtf_plan *plan = NULL;
    mtf_object_stop_waiting(model);
    MTF_TRY(mtf_object_count(model, n_outputs, err));
    for (size_t i = 0; i < n_outputs; i++) {
        MTF_TRY(mtf_object_output(model, outputs[i].name, &model->wanted[i], err));
        model->caller[i] = outputs[i].data;
    }
    MTF_TRY(mtf_object_view(model, batch, &view, err));
    MTF_TRY(mtf_object_check_precision(precision, 0, err));
    if (view.n_sequences == 0 || n_outputs == 0) {
        return MTF_OK;
    }
    mtf_request request = {.training = 0,
                           .precision = precision,
                           .n_outputs = n_outputs,
                           .outputs = model->wanted,
                           .n_given = (size_t)view.n_features,
                           .given = view.feature_tensor};
    MTF_TRY(mtf_object_plan(model, &request, &plan, err));
    MTF_TRY(mtf_view_bind(plan, &view, err));
    MTF_TRY(mtf_forms_prepare(plan, model->network, err));
    MTF_TRY(mtf_workspace_prepare(&model->workspace, plan, &view, err));
    mtf_run_forward(plan, model->network, &model->workspace, &view, 0, model->caller);
    MTF_TRY(mtf_work_check(err));
    /* Names of one tensor: the run wrote the first, the others are copies, as are features. */
    for (size_t i = 0; i < n_outputs; i++) {
        const mtf_place place = plan->place[plan->resolved[i]];
        const mtf_tensor *tensor = &program->tensors[plan->resolved[i]];
        size_t n = (size_t)mtf_view_rows(&view, tensor->space) * (size_t)tensor->width;
        if (place.store == MTF_STORE_FEATURE) {
            memcpy(model->caller[i], view.features[place.slot], n * sizeof(mtf_real));
        } else if (place.slot != (int32_t)i) {
            memcpy(model->caller[i], model->caller[place.slot], n * sizeof(mtf_real));
        }
    }
    return MTF_OK;
}

mtf_status mtf_model_forward(mtf_model *model, const mtf_batch *batch, size_t n_outputs,
                             const mtf_output *outputs, int precision, mtf_error *err)
{
    mtf_work work;
    mtf_work_open(&work);
    return mtf_work_close(&work, forward(model, batch, n_outputs, outputs, precision, err), err);
}

mtf_status mtf_model_get_prefix(mtf_model *model, int training, size_t n_outputs,
                                const char *const *outputs, const mtf_freeze_mask *frozen,
                                size_t *n, const char **names, mtf_error *err)
{
    mtf_plan *plan = NULL;
    MTF_TRY(mtf_object_check_mask(model, frozen, err));
    MTF_TRY(mtf_object_outputs(model, n_outputs, outputs, err));
    const mtf_request request = {.training = training,
                                 .dropout = training,
                                 .n_outputs = n_outputs,
                                 .outputs = model->wanted,
                                 .frozen = frozen};
    MTF_TRY(mtf_plan_new(model->network, model->freeze_version, &request, &plan, err));
    const mtf_status status = mtf_plan_features(plan, n, names, err);
    mtf_plan_free(plan);
    return status;
}

/* The outputs of a request's features in `given` (MTF_MAX_FEATURES). */
static mtf_status find_given(const mtf_model *model, const mtf_plan_request *request,
                             mtf_tensor_id *given, mtf_error *err)
{
    if (request->n_features > MTF_MAX_FEATURES) {
        return mtf_fail(err, MTF_ERR_VALUE, "a batch carries at most %d features",
                        MTF_MAX_FEATURES);
    }
    for (size_t i = 0; i < request->n_features; i++) {
        MTF_TRY(mtf_object_output(model, request->features[i], &given[i], err));
    }
    return MTF_OK;
}

/* The plan of a checked request, priced for the batch of these offsets. It is not one of those kept
 * for running: a new one there could put out the plan of a forward that waits for its backward.
 * `identity`, `none`: see mtf_batch_check(). */
static mtf_status price_request(mtf_model *model, const mtf_plan_request *request,
                                const int64_t *identity, const int64_t *none, mtf_plan_info *info,
                                mtf_plan_unit *units, mtf_error *err)
{
    const mtf_batch batch = {.n_sequences = request->n_sequences,
                             .n_spaces = request->n_spaces,
                             .spaces = request->spaces};
    mtf_tensor_id given[MTF_MAX_FEATURES];
    mtf_view view;
    mtf_plan *plan = NULL;
    MTF_TRY(mtf_batch_check(model->network->program, &batch, identity, none, &view, err));
    MTF_TRY(find_given(model, request, given, err));
    const mtf_request wanted = {.training = request->training,
                                .dropout = request->training,
                                .precision = request->precision,
                                .save_bf16 = request->training && request->save_bf16,
                                .n_outputs = request->n_outputs,
                                .outputs = model->wanted,
                                .n_given = request->n_features,
                                .given = given,
                                .frozen = request->frozen};
    MTF_TRY(mtf_plan_new(model->network, model->freeze_version, &wanted, &plan, err));
    mtf_plan_price(plan, model->network, &view, request->training ? request->token_budget : 0, info,
                   units);
    mtf_plan_free(plan);
    return MTF_OK;
}

mtf_status mtf_model_get_plan(mtf_model *model, const mtf_plan_request *request,
                              mtf_plan_info *info, mtf_plan_unit *units, mtf_error *err)
{
    if (request->training && request->token_budget < 1) {
        return mtf_fail(err, MTF_ERR_VALUE, "token_budget must be at least 1, found %lld",
                        (long long)request->token_budget);
    }
    MTF_TRY(mtf_object_check_precision(request->precision, request->training, err));
    MTF_TRY(mtf_object_check_mask(model, request->frozen, err));
    MTF_TRY(mtf_object_outputs(model, request->n_outputs, request->outputs, err));
    /* its own, because the workspace's may be in use by a forward that waits for its backward */
    const int64_t n = request->n_sequences > 0 ? request->n_sequences : 0;
    int64_t *identity = mtf_alloc_array(2 * ((size_t)n + 1), sizeof *identity);
    if (identity == NULL) {
        return mtf_fail_memory(err, 2 * ((size_t)n + 1) * sizeof *identity);
    }
    for (int64_t i = 0; i <= n; i++) {
        identity[i] = i;
        identity[n + 1 + i] = 0;
    }
    mtf_status status = price_request(model, request, identity, identity + n + 1, info, units, err);
    mtf_free(identity);
    return status;
}
