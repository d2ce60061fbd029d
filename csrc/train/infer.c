/* infer.c: outputs of a batch without training, and the price of a plan.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../base/status.h"
#include "object.h"

#include <string.h>

/* Keeps bytes and FLOPs of any supported width within 64 bits. */
#define PRICE_TOKENS_MAX (1LL << 32)

mtf_status mtf_model_forward(mtf_model *model, const mtf_batch *batch, size_t n_outputs,
                             const mtf_output *outputs, mtf_error *err)
{
    const mtf_program *program = model->network->program;
    mtf_view view;
    mtf_plan *plan = NULL;
    MTF_TRY(mtf_object_count(model, n_outputs, err));
    for (size_t i = 0; i < n_outputs; i++) {
        MTF_TRY(mtf_object_output(model, outputs[i].name, &model->wanted[i], err));
        model->caller[i] = outputs[i].data;
    }
    MTF_TRY(mtf_object_view(model, batch, &view, err));
    if (view.n_sequences == 0 || n_outputs == 0) {
        return MTF_OK;
    }
    mtf_request request = {.training = 0,
                           .n_outputs = n_outputs,
                           .outputs = model->wanted,
                           .n_given = (size_t)view.n_features,
                           .given = view.feature_tensor};
    MTF_TRY(mtf_object_plan(model, &request, &plan, err));
    MTF_TRY(mtf_view_bind(plan, &view, err));
    model->session.pending = 0; /* its workspace is overwritten */
    MTF_TRY(mtf_workspace_prepare(&model->workspace, plan, &view, err));
    mtf_run_forward(plan, model->network, &model->workspace, &view, 0, model->caller);
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

mtf_status mtf_model_get_prefix(mtf_model *model, int training, size_t n_outputs,
                                const char *const *outputs, size_t *n, const char **names,
                                mtf_error *err)
{
    mtf_plan *plan = NULL;
    MTF_TRY(mtf_object_count(model, n_outputs, err));
    for (size_t i = 0; i < n_outputs; i++) {
        MTF_TRY(mtf_object_output(model, outputs[i], &model->wanted[i], err));
    }
    const mtf_request request = {.training = training,
                                 .dropout = training,
                                 .n_outputs = n_outputs,
                                 .outputs = model->wanted};
    MTF_TRY(mtf_object_plan(model, &request, &plan, err));
    *n = 0;
    for (int32_t b = 0; b < plan->n_boundary; b++) {
        const char *name = mtf_plan_boundary_name(plan, b);
        if (name == NULL || b == MTF_MAX_FEATURES) {
            *n = 0;
            return MTF_OK;
        }
        names[(*n)++] = name;
    }
    return MTF_OK;
}

mtf_status mtf_model_get_plan(mtf_model *model, const mtf_plan_request *request,
                              mtf_plan_info *info, mtf_plan_unit *units, mtf_error *err)
{
    const mtf_program *program = model->network->program;
    mtf_plan *plan = NULL;
    if (request->n_sequences < 0 || request->n_tokens < request->n_sequences ||
        request->n_tokens > PRICE_TOKENS_MAX || request->max_length < 0 ||
        request->max_length > request->n_tokens) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "a batch to be priced has at least one token a sequence, none longer than "
                        "the whole and at most %lld tokens; found %lld tokens in %lld sequences, "
                        "the longest of %lld",
                        PRICE_TOKENS_MAX, (long long)request->n_tokens,
                        (long long)request->n_sequences, (long long)request->max_length);
    }
    MTF_TRY(mtf_object_count(model, request->n_outputs, err));
    for (size_t i = 0; i < request->n_outputs; i++) {
        MTF_TRY(mtf_object_output(model, request->outputs[i], &model->wanted[i], err));
    }
    mtf_request wanted = {.training = request->training,
                          .dropout = request->training,
                          .n_outputs = request->n_outputs,
                          .outputs = model->wanted};
    MTF_TRY(mtf_object_plan(model, &wanted, &plan, err));
    mtf_extent extent = {0};
    extent.n_rows[0] = request->n_sequences;
    extent.sum_squares[0] = (double)request->n_sequences;
    extent.max_length[0] = 1;
    for (int32_t s = 1; s < program->n_spaces; s++) {
        double sequences = request->n_sequences > 0 ? (double)request->n_sequences : 1;
        extent.n_rows[s] = request->n_tokens;
        extent.sum_squares[s] = (double)request->n_tokens * (double)request->n_tokens / sequences;
        extent.max_length[s] = request->max_length;
    }
    mtf_plan_price(plan, model->network, &extent, info, units);
    return MTF_OK;
}
