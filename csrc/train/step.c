/* step.c: losses and gradients of a step: begin, forward and backward per micro-batch.
 *
 * A loss is a gradient injected at a head's output: scale * (softmax - onehot), where scale is the
 * task's weight over its labelled rows of the whole step, so micro-batches add up to the same step.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../base/alloc.h"
#include "../base/random.h"
#include "../base/status.h"
#include "state.h"

#include <math.h>
#include <string.h>

mtf_status mtf_train_begin(mtf_model *model, const mtf_train_options *options, mtf_error *err)
{
    MTF_TRY(mtf_object_check_precision((int)options->precision, 1, err));
    mtf_object_close_session(model);
    for (int32_t i = 0; i < model->network->program->n_params; i++) {
        model->network->params[i].reached = 0;
    }
    MTF_TRY(mtf_state_chunks(model, err));
    model->session.options = *options;
    model->session.dropout_key = mtf_random_mix(mtf_random_mix(0, options->seed), options->step);
    model->session.open = 1;
    return MTF_OK;
}

/* Forward of a checked view towards model->wanted[0 .. n - 1]. */
static mtf_status forward_view(mtf_model *model, const mtf_view *view, size_t n, mtf_error *err)
{
    mtf_session *session = &model->session;
    mtf_request request = {.training = 1,
                           .dropout = session->options.dropout,
                           .precision = (int)session->options.precision,
                           .save_bf16 = session->options.save_bf16,
                           .n_outputs = n,
                           .outputs = model->wanted,
                           .n_given = (size_t)view->n_features,
                           .given = view->feature_tensor};
    session->pending = 0;
    MTF_TRY(mtf_object_plan(model, &request, &session->plan, err));
    session->view = *view;
    MTF_TRY(mtf_view_bind(session->plan, &session->view, err));
    MTF_TRY(mtf_state_gradients(model, session->plan, err));
    MTF_TRY(mtf_forms_prepare(session->plan, model->network, err));
    MTF_TRY(mtf_workspace_prepare(&model->workspace, session->plan, view, err));
    mtf_run_forward(session->plan, model->network, &model->workspace, &session->view,
                    session->dropout_key, NULL);
    session->pending = 1;
    return MTF_OK;
}

static size_t output_values(const mtf_program *program, const mtf_view *view, mtf_tensor_id t)
{
    const mtf_tensor *tensor = &program->tensors[t];
    return (size_t)mtf_view_rows(view, tensor->space) * (size_t)tensor->width;
}

mtf_status mtf_train_forward(mtf_model *model, const mtf_batch *batch, int64_t first_sequence,
                             size_t n_wanted, const char *const *wanted, mtf_real *const *values,
                             mtf_error *err)
{
    mtf_view view;
    if (!model->session.open) {
        return mtf_fail(err, MTF_ERR_STATE, "no step is under way; begin one before its forward");
    }
    MTF_TRY(mtf_object_outputs(model, n_wanted, wanted, err));
    MTF_TRY(mtf_object_view(model, batch, &view, err));
    view.first_sequence = first_sequence;
    MTF_TRY(forward_view(model, &view, n_wanted, err));
    for (size_t i = 0; values != NULL && i < n_wanted; i++) {
        if (values[i] != NULL) {
            const mtf_plan *plan = model->session.plan;
            memcpy(values[i],
                   mtf_run_output_value(plan, &model->workspace, &model->session.view, i),
                   output_values(model->network->program, &view, plan->resolved[i]) *
                       sizeof(mtf_real));
        }
    }
    return MTF_OK;
}

/* Place of a named output among those of the pending forward. */
static mtf_status pending_output(const mtf_model *model, const char *name, size_t *place,
                                 mtf_error *err)
{
    mtf_tensor_id tensor;
    MTF_TRY(mtf_object_output(model, name, &tensor, err));
    const mtf_plan *plan = model->session.plan;
    for (size_t i = 0; i < plan->n_outputs; i++) {
        if (plan->outputs[i] == tensor) {
            *place = i;
            return MTF_OK;
        }
    }
    return mtf_fail(
        err, MTF_ERR_STATE,
        "output \"%s\" was not among the wanted ones of the forward pass; name it there", name);
}

static mtf_status check_labels(const char *name, const int32_t *labels, int64_t n, int64_t width,
                               int64_t *n_labelled, mtf_error *err)
{
    int64_t labelled = 0;
    for (int64_t i = 0; i < n; i++) {
        if (labels[i] == MTF_IGNORE_LABEL) {
            continue;
        }
        if (labels[i] < 0 || labels[i] >= width) {
            return mtf_fail(err, MTF_ERR_VALUE,
                            "label %d at row %lld of \"%s\": expected 0..%lld, or %d for no label",
                            labels[i], (long long)i, name, (long long)width - 1, MTF_IGNORE_LABEL);
        }
        labelled++;
    }
    *n_labelled = labelled;
    return MTF_OK;
}

static void zero_output_gradients(mtf_model *model)
{
    const mtf_session *session = &model->session;
    for (size_t i = 0; i < session->plan->n_outputs; i++) {
        mtf_real *gradient = mtf_run_output_gradient(session->plan, &model->workspace, i);
        if (gradient != NULL) {
            memset(
                gradient, 0,
                output_values(session->plan->program, &session->view, session->plan->resolved[i]) *
                    sizeof *gradient);
        }
    }
}

static mtf_status add_losses(mtf_model *model, size_t n, const mtf_loss *losses,
                             const double *scale, double *sums, mtf_error *err)
{
    const mtf_session *session = &model->session;
    for (size_t i = 0; i < n; i++) {
        size_t place = 0;
        int64_t n_labelled;
        MTF_TRY(pending_output(model, losses[i].output, &place, err));
        const mtf_tensor *tensor = &session->plan->program->tensors[session->plan->outputs[place]];
        const int64_t rows = mtf_view_rows(&session->view, tensor->space);
        MTF_TRY(check_labels(losses[i].output, losses[i].labels, rows, tensor->width, &n_labelled,
                             err));
        double sum = mtf_cross_entropy(
            mtf_run_output_gradient(session->plan, &model->workspace, place),
            mtf_run_output_value(session->plan, &model->workspace, &session->view, place),
            losses[i].labels, rows, tensor->width, (mtf_real)scale[i]);
        if (!isfinite(sum)) {
            return mtf_fail(err, MTF_ERR_NONFINITE,
                            "the loss of \"%s\" is not finite (%g) in step %llu; weights are as "
                            "before the step; lower the learning rate or look at the data",
                            losses[i].output, sum, (unsigned long long)session->options.step + 1);
        }
        sums[i] = sum;
    }
    return MTF_OK;
}

static mtf_status add_injections(mtf_model *model, size_t n, const mtf_injection *injections,
                                 mtf_error *err)
{
    const mtf_session *session = &model->session;
    for (size_t i = 0; i < n; i++) {
        size_t place = 0;
        MTF_TRY(pending_output(model, injections[i].output, &place, err));
        mtf_real *gradient = mtf_run_output_gradient(session->plan, &model->workspace, place);
        if (gradient != NULL) {
            mtf_kernel->add_to(gradient, injections[i].grad,
                               (int64_t)output_values(session->plan->program, &session->view,
                                                      session->plan->resolved[place]));
        }
    }
    return MTF_OK;
}

mtf_status mtf_train_backward(mtf_model *model, size_t n_losses, const mtf_loss *losses,
                              const double *scale, double *loss_sums, size_t n_injections,
                              const mtf_injection *injections, mtf_error *err)
{
    mtf_session *session = &model->session;
    if (!session->open || !session->pending) {
        return mtf_fail(err, MTF_ERR_STATE,
                        "no forward pass waits for its backward; begin a step "
                        "and run the forward pass first");
    }
    zero_output_gradients(model);
    MTF_TRY(add_losses(model, n_losses, losses, scale, loss_sums, err));
    MTF_TRY(add_injections(model, n_injections, injections, err));
    mtf_run_backward(session->plan, model->network, &model->workspace, &session->view,
                     session->dropout_key);
    session->pending = 0;
    return MTF_OK;
}

/* What mtf_train_gradients() holds while it goes through the micro-batches. */
typedef struct whole_step {
    size_t n_losses, n_injections;
    const mtf_loss *losses;
    const mtf_injection *injections;
    mtf_loss *part_losses;            /* (n_losses) those with labelled rows, at the micro-batch */
    mtf_injection *part_injections;   /* (n_injections) */
    double *scale, *sums, *part_sums; /* (n_losses) */
    size_t *source;                   /* (n_losses) number of a part loss in losses */
    int64_t *n_labelled;              /* (n_losses) */
    size_t n_active;
} whole_step;

/* Lays the arrays into the model's step memory, which grows once and then stays. */
static mtf_status step_reserve(mtf_model *model, whole_step *s, mtf_error *err)
{
    const size_t n = s->n_losses;
    const size_t bytes =
        n * (sizeof(mtf_loss) + 3 * sizeof(double) + sizeof(size_t) + sizeof(int64_t)) +
        s->n_injections * sizeof(mtf_injection) + 8;
    if (bytes > model->step_memory_size) {
        void *grown = mtf_realloc(model->step_memory, bytes);
        if (grown == NULL) {
            return mtf_fail_memory(err, bytes);
        }
        model->step_memory = grown;
        model->step_memory_size = bytes;
    }
    memset(model->step_memory, 0, bytes);
    s->part_losses = model->step_memory;
    s->part_injections = (mtf_injection *)(void *)(s->part_losses + n);
    s->scale = (double *)(void *)(s->part_injections + s->n_injections);
    s->sums = s->scale + n;
    s->part_sums = s->sums + n;
    s->n_labelled = (int64_t *)(void *)(s->part_sums + n);
    s->source = (size_t *)(void *)(s->n_labelled + n);
    return MTF_OK;
}

/* Checks labels, counts them, and lists the outputs to be reached in model->wanted. */
static mtf_status step_outputs(mtf_model *model, const mtf_view *view, whole_step *s,
                               size_t *n_wanted, mtf_error *err)
{
    const mtf_program *program = model->network->program;
    *n_wanted = 0;
    MTF_TRY(mtf_object_count(model, s->n_losses + s->n_injections, err));
    for (size_t i = 0; i < s->n_losses; i++) {
        mtf_tensor_id t;
        MTF_TRY(mtf_object_output(model, s->losses[i].output, &t, err));
        MTF_TRY(check_labels(s->losses[i].output, s->losses[i].labels,
                             mtf_view_rows(view, program->tensors[t].space),
                             program->tensors[t].width, &s->n_labelled[i], err));
        if (!isfinite(s->losses[i].weight)) {
            return mtf_fail(err, MTF_ERR_VALUE, "the weight of the loss \"%s\" is not finite",
                            s->losses[i].output);
        }
        if (s->n_labelled[i] > 0) {
            s->source[s->n_active] = i;
            s->scale[s->n_active++] = s->losses[i].weight / (double)s->n_labelled[i];
            model->wanted[(*n_wanted)++] = t;
        }
    }
    for (size_t i = 0; i < s->n_injections; i++) {
        MTF_TRY(mtf_object_output(model, s->injections[i].output, &model->wanted[*n_wanted], err));
        ++*n_wanted;
    }
    return MTF_OK;
}

static mtf_status run_part(mtf_model *model, const mtf_view *view, const mtf_view *part,
                           whole_step *s, size_t n_wanted, mtf_error *err)
{
    const mtf_program *program = model->network->program;
    for (size_t i = 0; i < s->n_active; i++) {
        const int32_t space = program->tensors[model->wanted[i]].space;
        const mtf_loss *loss = &s->losses[s->source[i]];
        s->part_losses[i] = *loss;
        s->part_losses[i].labels =
            loss->labels + (part->offsets[space][0] - view->offsets[space][0]);
    }
    for (size_t i = 0; i < s->n_injections; i++) {
        const mtf_tensor *tensor = &program->tensors[model->wanted[s->n_active + i]];
        const int64_t row = part->offsets[tensor->space][0] - view->offsets[tensor->space][0];
        s->part_injections[i] = s->injections[i];
        s->part_injections[i].grad = s->injections[i].grad + row * tensor->width;
    }
    MTF_TRY(forward_view(model, part, n_wanted, err));
    MTF_TRY(mtf_train_backward(model, s->n_active, s->part_losses, s->scale, s->part_sums,
                               s->n_injections, s->part_injections, err));
    for (size_t i = 0; i < s->n_active; i++) {
        s->sums[s->source[i]] += s->part_sums[i];
    }
    return MTF_OK;
}

mtf_status mtf_train_gradients(mtf_model *model, const mtf_batch *batch, size_t n_losses,
                               const mtf_loss *losses, size_t n_injections,
                               const mtf_injection *injections, int64_t token_budget,
                               const mtf_train_options *options, double *loss_means,
                               int64_t *n_labelled, mtf_error *err)
{
    whole_step s = {.n_losses = n_losses,
                    .n_injections = n_injections,
                    .losses = losses,
                    .injections = injections};
    mtf_view view;
    size_t n_wanted = 0;
    if (token_budget < 1) {
        return mtf_fail(err, MTF_ERR_VALUE, "token_budget must be at least 1, found %lld",
                        (long long)token_budget);
    }
    MTF_TRY(mtf_object_view(model, batch, &view, err));
    MTF_TRY(step_reserve(model, &s, err));
    mtf_status status = step_outputs(model, &view, &s, &n_wanted, err);
    if (status == MTF_OK) {
        status = mtf_train_begin(model, options, err);
    }
    int64_t first = 0;
    while (status == MTF_OK && n_wanted > 0 && first < view.n_sequences) {
        int64_t n = mtf_view_cut(model->network->program, &view, first, token_budget);
        mtf_view part = mtf_view_part(model->network->program, &view, first, n);
        status = run_part(model, &view, &part, &s, n_wanted, err);
        first += n;
    }
    for (size_t i = 0; status == MTF_OK && i < n_losses; i++) {
        if (loss_means != NULL) {
            loss_means[i] = s.n_labelled[i] > 0 ? s.sums[i] / (double)s.n_labelled[i] : 0;
        }
        if (n_labelled != NULL) {
            n_labelled[i] = s.n_labelled[i];
        }
    }
    if (status != MTF_OK) {
        mtf_object_close_session(model);
    }
    return status;
}
