/* step.c: losses and gradients of a step: begin, forward (forward.c) and backward per
 * micro-batch.
 *
 * A loss is a gradient injected at a head's output (csrc/losses/), scaled by the task's weight over
 * its labelled rows of the whole step (or their weights), so micro-batches add up to the same step.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../base/alloc.h"
#include "../base/random.h"
#include "../base/status.h"
#include "state.h"

#include <math.h>
#include <string.h>

/* Targets in words, by mtf_target_type. */
static const char *const TARGETS[] = {"labels (int32)", "rows of values (float)"};

mtf_status mtf_train_begin(mtf_model *model, const mtf_train_options *options, mtf_error *err)
{
    mtf_object_close_session(model);
    MTF_TRY(mtf_object_check_precision((int)options->precision, 1, err));
    for (int32_t i = 0; i < model->network->program->n_params; i++) {
        model->network->params[i].reached = 0;
        model->network->params[i].is_found = 0;
    }
    model->session.n_parts = 0;
    MTF_TRY(mtf_state_chunks(model, err));
    model->session.options = *options;
    model->session.dropout_key = mtf_random_mix(mtf_random_mix(0, options->seed), options->step);
    model->session.open = 1;
    return MTF_OK;
}

/* Closes the work of a training call; a step that was stopped is dropped. */
mtf_status mtf_train_close(mtf_work *work, mtf_model *model, mtf_status status, mtf_error *err)
{
    status = mtf_work_close(work, status, err);
    if (status == MTF_INTERRUPTED) {
        mtf_object_close_session(model);
    }
    return status;
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

static void zero_output_gradients(mtf_model *model)
{
    const mtf_session *session = &model->session;
    for (size_t i = 0; i < session->plan->n_outputs; i++) {
        mtf_real *gradient = mtf_run_output_gradient(session->plan, &model->workspace, i);
        if (gradient != NULL) {
            memset(gradient, 0,
                   mtf_step_values(session->plan->program, &session->view,
                                   session->plan->resolved[i]) *
                       sizeof *gradient);
        }
    }
}

/* The rows of an output that a loss is given, without values. */
static mtf_loss_rows loss_rows(const mtf_loss *loss, const mtf_tensor *output, const mtf_view *view,
                               const void *targets)
{
    return (mtf_loss_rows){.targets = targets,
                           .m = mtf_view_rows(view, output->space),
                           .n = output->width,
                           .parts = output->parts > 0 ? output->parts : 1,
                           .offsets = view->offsets[output->space],
                           .n_sequences = view->n_sequences,
                           .settings =
                               loss->settings != NULL ? loss->settings : &MTF_LOSS_DEFAULTS};
}

/* Lets a buffer grow: *buffer has room for *max elements of this size, and for n afterwards. */
static mtf_status reserve(void **buffer, size_t *max, size_t n, size_t size, mtf_error *err)
{
    if (n > *max) {
        void *grown = mtf_realloc(*buffer, n * size);
        if (grown == NULL) {
            return mtf_fail_memory(err, n * size);
        }
        *buffer = grown;
        *max = n;
    }
    return MTF_OK;
}

/* Room for what a loss over these rows works in. */
static mtf_status reserve_work(mtf_model *model, const mtf_loss_kind *kind,
                               const mtf_loss_rows *rows, mtf_error *err)
{
    const size_t n = kind->work != NULL ? kind->work(rows) : 0;
    void *room = model->loss_work;
    MTF_TRY(reserve(&room, &model->n_loss_work, n, sizeof *model->loss_work, err));
    model->loss_work = room;
    return MTF_OK;
}

/* What the loss is, by its name or that of its head, and whether its settings and its targets fit
 * the rows of its output; there is room for it then. */
static mtf_status check_loss(mtf_model *model, const mtf_loss *loss, mtf_tensor_id output,
                             const mtf_view *view, const mtf_loss_kind **kind,
                             mtf_loss_counts *counts, mtf_error *err)
{
    const mtf_loss_rows rows =
        loss_rows(loss, &model->network->program->tensors[output], view, loss->targets);
    MTF_TRY(mtf_object_loss(model, loss->output, loss->kind, kind, err));
    if (loss->type != (*kind)->targets) {
        return mtf_fail(err, MTF_ERR_VALUE,
                        "the loss \"%s\" of \"%s\" takes %s, targets of type %d; found type %d",
                        (*kind)->name, loss->output, TARGETS[(*kind)->targets],
                        (int)(*kind)->targets, (int)loss->type);
    }
    MTF_TRY(mtf_loss_check_settings(*kind, loss->output, rows.n, rows.settings, err));
    MTF_TRY((*kind)->check(loss->output, &rows, counts, err));
    return reserve_work(model, *kind, &rows, err);
}

/* A loss over the rows of the pending forward, whose targets begin at `targets`: adds its gradient
 * at the output number `place`, and its values to *sum. */
static mtf_status add_loss(mtf_model *model, const mtf_loss *loss, const mtf_loss_kind *kind,
                           const mtf_loss_counts *counts, size_t place, const void *targets,
                           double scale, double *sum, mtf_error *err)
{
    const mtf_session *session = &model->session;
    const mtf_plan *plan = session->plan;
    const mtf_tensor *tensor = &plan->program->tensors[plan->outputs[place]];
    mtf_loss_rows rows = loss_rows(loss, tensor, &session->view, targets);
    rows.dy = mtf_run_output_gradient(plan, &model->workspace, place);
    rows.y = mtf_run_output_value(plan, &model->workspace, &session->view, place);
    rows.scale = (mtf_real)scale;
    rows.counts = counts;
    rows.work = model->loss_work;
    const double found = kind->value_and_gradient(&rows);
    if (!isfinite(found)) {
        return mtf_fail(err, MTF_ERR_NONFINITE,
                        "the loss of \"%s\" is not finite (%g) in step %llu; weights are as "
                        "before the step; lower the learning rate or look at the data",
                        loss->output, found, (unsigned long long)session->options.step + 1);
    }
    *sum += found;
    return MTF_OK;
}

/* Adds `grad` (N,width), the rows of the pending forward, at that output. */
static mtf_status add_injection(mtf_model *model, const char *output, const mtf_real *grad,
                                mtf_error *err)
{
    const mtf_session *session = &model->session;
    size_t place = 0;
    MTF_TRY(pending_output(model, output, &place, err));
    mtf_real *gradient = mtf_run_output_gradient(session->plan, &model->workspace, place);
    if (gradient != NULL) {
        mtf_kernel->add_to(gradient, grad,
                           (int64_t)mtf_step_values(session->plan->program, &session->view,
                                                    session->plan->resolved[place]));
    }
    return MTF_OK;
}

/* From the gradients at the outputs down. */
static mtf_status run_backward(mtf_model *model, mtf_error *err)
{
    mtf_session *session = &model->session;
    mtf_run_backward(session->plan, model->network, &model->workspace, &session->view,
                     session->dropout_key);
    session->n_parts++;
    mtf_object_stop_waiting(model);
    return mtf_work_check(err);
}

static mtf_status train_backward(mtf_model *model, size_t n_losses, const mtf_loss *losses,
                                 const double *scale, double *loss_sums, size_t n_injections,
                                 const mtf_injection *injections, mtf_error *err)
{
    const mtf_session *session = &model->session;
    if (!session->open || session->plan == NULL) {
        return mtf_fail(err, MTF_ERR_STATE,
                        "no forward pass waits for its backward; begin a step "
                        "and run the forward pass first");
    }
    MTF_TRY(mtf_workspace_workers(&model->workspace, err));
    zero_output_gradients(model);
    for (size_t i = 0; i < n_losses; i++) {
        size_t place = 0;
        const mtf_loss_kind *kind = NULL;
        mtf_loss_counts counts;
        MTF_TRY(pending_output(model, losses[i].output, &place, err));
        MTF_TRY(check_loss(model, &losses[i], session->plan->outputs[place], &session->view, &kind,
                           &counts, err));
        loss_sums[i] = 0;
        MTF_TRY(add_loss(model, &losses[i], kind, &counts, place, losses[i].targets, scale[i],
                         &loss_sums[i], err));
    }
    for (size_t i = 0; i < n_injections; i++) {
        MTF_TRY(add_injection(model, injections[i].output, injections[i].grad, err));
    }
    return run_backward(model, err);
}

mtf_status mtf_train_backward(mtf_model *model, size_t n_losses, const mtf_loss *losses,
                              const double *scale, double *loss_sums, size_t n_injections,
                              const mtf_injection *injections, mtf_error *err)
{
    mtf_work work;
    mtf_work_open(&work);
    return mtf_train_close(
        &work, model,
        train_backward(model, n_losses, losses, scale, loss_sums, n_injections, injections, err),
        err);
}

/* What mtf_train_gradients() was given. */
typedef struct whole_step {
    const mtf_view *view;
    size_t n_losses, n_injections;
    const mtf_loss *losses;
    const mtf_injection *injections;
} whole_step;

static mtf_status reserve_losses(mtf_model *model, size_t n, mtf_error *err)
{
    void *room = model->step_losses;
    MTF_TRY(reserve(&room, &model->max_step_losses, n, sizeof *model->step_losses, err));
    model->step_losses = room;
    return MTF_OK;
}

/* Checks the losses, and lists the outputs to be reached in model->wanted: those of the losses that
 * take part, then those of the injections. */
static mtf_status step_outputs(mtf_model *model, const whole_step *s, size_t *n_wanted,
                               mtf_error *err)
{
    *n_wanted = 0;
    MTF_TRY(reserve_losses(model, s->n_losses, err));
    MTF_TRY(mtf_object_count(model, s->n_losses + s->n_injections, err));
    for (size_t i = 0; i < s->n_losses; i++) {
        const mtf_loss *loss = &s->losses[i];
        mtf_step_loss *step = &model->step_losses[i];
        mtf_tensor_id t;
        step->sum = 0;
        MTF_TRY(mtf_object_output(model, loss->output, &t, err));
        MTF_TRY(check_loss(model, loss, t, s->view, &step->kind, &step->counts, err));
        if (!isfinite(loss->weight)) {
            return mtf_fail(err, MTF_ERR_VALUE, "the weight of the loss \"%s\" is not finite",
                            loss->output);
        }
        if (step->counts.n_labelled > 0) {
            model->wanted[(*n_wanted)++] = t;
        }
    }
    for (size_t i = 0; i < s->n_injections; i++) {
        MTF_TRY(mtf_object_output(model, s->injections[i].output, &model->wanted[*n_wanted], err));
        ++*n_wanted;
    }
    return MTF_OK;
}

static mtf_status run_part(mtf_model *model, const whole_step *s, const mtf_view *part,
                           size_t n_wanted, mtf_error *err)
{
    const mtf_tensor *tensors = model->network->program->tensors;
    const mtf_tensor_id *wanted = model->wanted; /* in the order of step_outputs() */
    MTF_TRY(mtf_step_forward(model, part, n_wanted, err));
    zero_output_gradients(model);
    for (size_t i = 0; i < s->n_losses; i++) {
        const mtf_loss *loss = &s->losses[i];
        mtf_step_loss *step = &model->step_losses[i];
        if (step->counts.n_labelled == 0) {
            continue;
        }
        size_t place = 0;
        MTF_TRY(pending_output(model, loss->output, &place, err));
        const mtf_tensor *tensor = &tensors[*wanted++];
        const void *targets = mtf_loss_target(
            step->kind, loss->targets, mtf_step_first_row(s->view, part, tensor), tensor->width);
        MTF_TRY(add_loss(model, loss, step->kind, &step->counts, place, targets,
                         loss->weight / step->counts.divisor, &step->sum, err));
    }
    for (size_t i = 0; i < s->n_injections; i++) {
        const mtf_tensor *tensor = &tensors[*wanted++];
        MTF_TRY(add_injection(model, s->injections[i].output,
                              s->injections[i].grad +
                                  mtf_step_first_row(s->view, part, tensor) * tensor->width,
                              err));
    }
    return run_backward(model, err);
}

static mtf_status train_gradients(mtf_model *model, const mtf_batch *batch, size_t n_losses,
                                  const mtf_loss *losses, size_t n_injections,
                                  const mtf_injection *injections, int64_t token_budget,
                                  const mtf_train_options *options, double *loss_means,
                                  int64_t *n_labelled, mtf_error *err)
{
    mtf_view view;
    const whole_step s = {.view = &view,
                          .n_losses = n_losses,
                          .n_injections = n_injections,
                          .losses = losses,
                          .injections = injections};
    size_t n_wanted = 0;
    mtf_object_close_session(model);
    MTF_TRY(mtf_step_check_budget(token_budget, err));
    MTF_TRY(mtf_object_view(model, batch, &view, err));
    mtf_status status = step_outputs(model, &s, &n_wanted, err);
    if (status == MTF_OK) {
        status = mtf_train_begin(model, options, err);
    }
    int64_t first = 0;
    while (status == MTF_OK && n_wanted > 0 && first < view.n_sequences) {
        int64_t n = 0;
        status = mtf_step_cut(model, &view, first, n_wanted, token_budget, &n, err);
        if (status == MTF_OK) {
            mtf_view part = mtf_view_part(model->network->program, &view, first, n);
            status = run_part(model, &s, &part, n_wanted, err);
        }
        first += n;
    }
    for (size_t i = 0; status == MTF_OK && i < n_losses; i++) {
        const mtf_step_loss *step = &model->step_losses[i];
        if (loss_means != NULL) {
            loss_means[i] = step->counts.n_labelled > 0 ? step->sum / step->counts.divisor : 0;
        }
        if (n_labelled != NULL) {
            n_labelled[i] = step->counts.n_labelled;
        }
    }
    if (status != MTF_OK) {
        mtf_object_close_session(model);
    }
    return status;
}

mtf_status mtf_train_gradients(mtf_model *model, const mtf_batch *batch, size_t n_losses,
                               const mtf_loss *losses, size_t n_injections,
                               const mtf_injection *injections, int64_t token_budget,
                               const mtf_train_options *options, double *loss_means,
                               int64_t *n_labelled, mtf_error *err)
{
    mtf_work work;
    mtf_work_open(&work);
    return mtf_train_close(&work, model,
                           train_gradients(model, batch, n_losses, losses, n_injections, injections,
                                           token_budget, options, loss_means, n_labelled, err),
                           err);
}
