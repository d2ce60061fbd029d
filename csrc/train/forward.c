/* forward.c: the forward pass of a step or of a micro-batch, which then waits for its backward.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../base/status.h"
#include "state.h"

#include <string.h>

mtf_status mtf_step_check_budget(int64_t token_budget, mtf_error *err)
{
    if (token_budget < 1) {
        return mtf_fail(err, MTF_ERR_VALUE, "token_budget must be at least 1, found %lld",
                        (long long)token_budget);
    }
    return MTF_OK;
}

/* The plan for a view towards model->wanted[0 .. n - 1], under the options of the step. */
static mtf_status training_plan(mtf_model *model, const mtf_view *view, size_t n, mtf_plan **plan,
                                mtf_error *err)
{
    const mtf_train_options *options = &model->session.options;
    const mtf_request request = {.training = 1,
                                 .dropout = options->dropout,
                                 .precision = (int)options->precision,
                                 .save_bf16 = options->save_bf16,
                                 .n_outputs = n,
                                 .outputs = model->wanted,
                                 .n_given = (size_t)view->n_features,
                                 .given = view->feature_tensor};
    return mtf_object_plan(model, &request, plan, err);
}

mtf_status mtf_step_cut(mtf_model *model, const mtf_view *view, int64_t first, size_t n_wanted,
                        int64_t token_budget, int64_t *n, mtf_error *err)
{
    mtf_plan *plan = NULL;
    MTF_TRY(training_plan(model, view, n_wanted, &plan, err));
    *n = mtf_plan_cut(plan, view, first, token_budget);
    return MTF_OK;
}

mtf_status mtf_step_forward(mtf_model *model, const mtf_view *view, size_t n, mtf_error *err)
{
    mtf_session *session = &model->session;
    mtf_plan *plan = NULL;
    mtf_object_stop_waiting(model);
    MTF_TRY(training_plan(model, view, n, &plan, err));
    if (!plan->splits && session->n_parts > 0) {
        return mtf_fail(err, MTF_ERR_STATE,
                        "batch norms that train take the statistics of a whole step, which had "
                        "another batch before; begin a step for each, or freeze them");
    }
    MTF_TRY(mtf_view_bind(plan, view, err));
    MTF_TRY(mtf_state_gradients(model, plan, err));
    MTF_TRY(mtf_forms_prepare(plan, model->network, err));
    MTF_TRY(mtf_workspace_prepare(&model->workspace, plan, view, err));
    session->plan = plan;
    session->view = *view;
    mtf_run_forward(plan, model->network, &model->workspace, &session->view, session->dropout_key,
                    NULL);
    return mtf_work_check(err);
}

size_t mtf_step_values(const mtf_program *program, const mtf_view *view, mtf_tensor_id t)
{
    const mtf_tensor *tensor = &program->tensors[t];
    return (size_t)mtf_view_rows(view, tensor->space) * (size_t)tensor->width;
}

/* Copies output number `i` of the pending forward to `values` (N,width). */
static void copy_output(const mtf_model *model, size_t i, mtf_real *values)
{
    const mtf_session *session = &model->session;
    memcpy(values, mtf_run_output_value(session->plan, &model->workspace, &session->view, i),
           mtf_step_values(session->plan->program, &session->view, session->plan->resolved[i]) *
               sizeof *values);
}

int64_t mtf_step_first_row(const mtf_view *view, const mtf_view *part, const mtf_tensor *tensor)
{
    return part->offsets[tensor->space][0] - view->offsets[tensor->space][0];
}

static mtf_status train_forward(mtf_model *model, const mtf_batch *batch, int64_t first_sequence,
                                size_t n_wanted, const char *const *wanted, mtf_real *const *values,
                                mtf_error *err)
{
    mtf_view view;
    mtf_object_stop_waiting(model);
    if (!model->session.open) {
        return mtf_fail(err, MTF_ERR_STATE, "no step is under way; begin one before its forward");
    }
    if (first_sequence < 0 || first_sequence > MTF_MAX_COUNT) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "the number of the first sequence must be from 0 to %lld, found %lld",
                        (long long)MTF_MAX_COUNT, (long long)first_sequence);
    }
    MTF_TRY(mtf_object_outputs(model, n_wanted, wanted, err));
    MTF_TRY(mtf_object_view(model, batch, &view, err));
    view.first_sequence = first_sequence;
    MTF_TRY(mtf_step_forward(model, &view, n_wanted, err));
    for (size_t i = 0; values != NULL && i < n_wanted; i++) {
        if (values[i] != NULL) {
            copy_output(model, i, values[i]);
        }
    }
    return MTF_OK;
}

mtf_status mtf_train_forward(mtf_model *model, const mtf_batch *batch, int64_t first_sequence,
                             size_t n_wanted, const char *const *wanted, mtf_real *const *values,
                             mtf_error *err)
{
    mtf_work work;
    mtf_work_open(&work);
    return mtf_train_close(
        &work, model, train_forward(model, batch, first_sequence, n_wanted, wanted, values, err),
        err);
}

static mtf_status train_outputs(mtf_model *model, const mtf_batch *batch, size_t n_outputs,
                                const mtf_output *outputs, int64_t token_budget, int *waits,
                                mtf_error *err)
{
    const mtf_program *program = model->network->program;
    mtf_view view;
    int64_t n_parts = 0;
    mtf_object_stop_waiting(model);
    if (!model->session.open) {
        return mtf_fail(err, MTF_ERR_STATE, "no step is under way; begin one before its outputs");
    }
    MTF_TRY(mtf_step_check_budget(token_budget, err));
    MTF_TRY(mtf_object_count(model, n_outputs, err));
    for (size_t i = 0; i < n_outputs; i++) {
        MTF_TRY(mtf_object_output(model, outputs[i].name, &model->wanted[i], err));
    }
    MTF_TRY(mtf_object_view(model, batch, &view, err));
    for (int64_t first = 0, n = 0; first < view.n_sequences; first += n) {
        MTF_TRY(mtf_step_cut(model, &view, first, n_outputs, token_budget, &n, err));
        const mtf_view part = mtf_view_part(program, &view, first, n);
        MTF_TRY(mtf_step_forward(model, &part, n_outputs, err));
        for (size_t i = 0; i < n_outputs; i++) {
            const mtf_tensor *tensor = &program->tensors[model->wanted[i]];
            copy_output(model, i,
                        outputs[i].data + mtf_step_first_row(&view, &part, tensor) * tensor->width);
        }
        n_parts++;
    }
    *waits = n_parts == 1;
    if (!*waits) { /* of several, the workspace holds the last only */
        mtf_object_stop_waiting(model);
    }
    return MTF_OK;
}

mtf_status mtf_train_outputs(mtf_model *model, const mtf_batch *batch, size_t n_outputs,
                             const mtf_output *outputs, int64_t token_budget, int *waits,
                             mtf_error *err)
{
    mtf_work work;
    mtf_work_open(&work);
    return mtf_train_close(
        &work, model, train_outputs(model, batch, n_outputs, outputs, token_budget, waits, err),
        err);
}
