/* run.c: the two walks over a plan; see run.h.
 * SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include "../base/threads.h"
#include "../ops/span.h"

#include <string.h>

typedef struct forward_context {
    const mtf_plan *plan;
    const mtf_network *network;
    const mtf_workspace *workspace;
    const mtf_view *view;
    uint64_t dropout_key;
    mtf_real *const *caller;
} forward_context;

/* Row `first_row` of a tensor of a view whose block begins at `block_row`; NULL: not there. */
static mtf_real *locate(const mtf_plan *plan, const mtf_workspace *w, mtf_tensor_id t,
                        mtf_real *worker, int64_t first_row, mtf_real *const *caller)
{
    if (t == MTF_NO_TENSOR) {
        return NULL;
    }
    const size_t skipped = (size_t)first_row * (size_t)plan->program->tensors[t].width;
    const int32_t slot = plan->place[t].slot;
    switch (plan->place[t].store) {
    case MTF_STORE_SAVED:
        return w->saved + w->saved_starts[slot] + skipped;
    case MTF_STORE_TEMPORARY:
        return worker + w->temporary_starts[slot];
    case MTF_STORE_HALF: /* forward; backward widens it first */
        return worker != NULL ? worker + w->temporary_starts[plan->scratch[t]] : NULL;
    case MTF_STORE_CALLER:
        return caller[slot] + skipped;
    case MTF_STORE_FEATURE:
    case MTF_STORE_NONE:
        break;
    }
    return NULL;
}

/* The same for reading: also what the batch carries. */
static const mtf_real *locate_value(const mtf_plan *plan, const mtf_workspace *w,
                                    const mtf_view *view, mtf_tensor_id t, mtf_real *worker,
                                    int64_t first_row, mtf_real *const *caller)
{
    if (plan->place[t].store == MTF_STORE_FEATURE) {
        return view->features[plan->place[t].slot] + first_row * plan->program->tensors[t].width;
    }
    return locate(plan, w, t, worker, first_row, caller);
}

/* A temporary that lies in bfloat16. */
static uint16_t *locate_half(const mtf_plan *plan, const mtf_workspace *w, mtf_tensor_id t,
                             mtf_real *worker)
{
    return (uint16_t *)(void *)(worker + w->temporary_starts[plan->place[t].slot]);
}

static void set_weights(mtf_op_call *call, const mtf_node *node, const mtf_network *network)
{
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        call->w[i] = node->weight[i] >= 0 ? &network->params[node->weight[i]].handle : NULL;
        call->found[i] = node->op->moves >> i & 1u ? network->params[node->weight[i]].found : NULL;
    }
}

static void mark_found(const mtf_node *node, const mtf_network *network)
{
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        if (node->op->moves >> i & 1u) {
            network->params[node->weight[i]].is_found = 1;
        }
    }
}

/* Rounds what a step has just made and what is kept in bfloat16. */
static void keep_halves(const forward_context *c, const mtf_tensor_id *tensors, int n,
                        mtf_real *worker, const int64_t *first, const mtf_span *span)
{
    const mtf_plan *plan = c->plan;
    const mtf_workspace *w = c->workspace;
    for (int i = 0; i < n; i++) {
        const mtf_tensor_id t = tensors[i];
        if (t == MTF_NO_TENSOR || plan->place[t].store != MTF_STORE_HALF) {
            continue;
        }
        const mtf_tensor *tensor = &plan->program->tensors[t];
        mtf_kernel->bf16_round(w->halves + w->halves_starts[plan->place[t].slot] +
                                   first[tensor->space] * tensor->width,
                               worker + w->temporary_starts[plan->scratch[t]],
                               span->n_rows[tensor->space] * tensor->width);
    }
}

static void run_step(const forward_context *c, const mtf_step *step, const mtf_span *span,
                     const mtf_view *part, mtf_real *worker)
{
    const mtf_plan *plan = c->plan;
    const mtf_node *node = &plan->program->nodes[step->node];
    mtf_op_call call = {.shape = &node->shape,
                        .span = span,
                        .work = worker + c->workspace->now.work_start,
                        .work_stride = c->workspace->now.wide ? c->workspace->now.worker : 0,
                        .dropout_key = c->dropout_key,
                        .dropout_on = step->dropout_on};
    memcpy(call.precision, step->precision, sizeof call.precision);
    int64_t first[MTF_MAX_SPACES];
    for (int32_t s = 0; s < plan->program->n_spaces; s++) {
        first[s] = part->offsets[s][0] - c->view->offsets[s][0];
    }
    for (int k = 0; k < MTF_MAX_IN; k++) {
        mtf_tensor_id t = step->in[k];
        if (t == MTF_NO_TENSOR) {
            continue;
        }
        const mtf_tensor *tensor = &plan->program->tensors[t];
        if (tensor->role == MTF_ROLE_INPUT) {
            if (tensor->is_ids) {
                call.ids[k] = part->inputs[t];
            } else {
                call.in[k] = part->inputs[t];
            }
        } else if (plan->narrow[t]) {
            call.in_half[k] = locate_half(plan, c->workspace, t, worker);
        } else {
            call.in[k] = locate_value(plan, c->workspace, c->view, t, worker, first[tensor->space],
                                      c->caller);
        }
    }
    for (int o = 0; o < MTF_MAX_OUT; o++) {
        int64_t row = node->out[o] == MTF_NO_TENSOR ? 0 : first[node->shape.out[o].space];
        if (node->out[o] != MTF_NO_TENSOR && plan->narrow[node->out[o]]) {
            call.out_half[o] = locate_half(plan, c->workspace, node->out[o], worker);
            continue;
        }
        call.out[o] = locate(plan, c->workspace, node->out[o], worker, row, c->caller);
    }
    for (int a = 0; a < MTF_MAX_AUX; a++) {
        int64_t row = node->aux[a] == MTF_NO_TENSOR ? 0 : first[node->shape.aux[a].space];
        call.aux[a] = locate(plan, c->workspace, node->aux[a], worker, row, c->caller);
    }
    set_weights(&call, node, c->network);
    node->op->forward(&call);
    mark_found(node, c->network);
    if (plan->halves.n_regions > 0) {
        keep_halves(c, node->out, MTF_MAX_OUT, worker, first, span);
        keep_halves(c, node->aux, MTF_MAX_AUX, worker, first, span);
    }
}

static mtf_span span_of(const mtf_plan *plan, const mtf_view *part, const int64_t *max_length)
{
    mtf_span span = {.first_sequence = part->first_sequence, .n_sequences = part->n_sequences};
    for (int32_t s = 0; s < plan->program->n_spaces; s++) {
        span.offsets[s] = part->offsets[s];
        span.widths[s] = part->widths[s];
        span.n_rows[s] = mtf_view_rows(part, s);
        span.max_length[s] = max_length[s];
    }
    return span;
}

static void run_block(void *context, int64_t item, int number)
{
    const forward_context *c = context;
    const mtf_workspace *w = c->workspace;
    mtf_real *worker = w->workers + (size_t)number * w->now.worker;
    const mtf_view part = mtf_view_part(c->plan->program, c->view, w->blocks[item],
                                        w->blocks[item + 1] - w->blocks[item]);
    const mtf_span span = span_of(c->plan, &part, w->now.max_length);
    for (int32_t i = 0; i < c->plan->n_forward && !mtf_stopping(); i++) {
        run_step(c, &c->plan->forward[i], &span, &part, worker);
    }
}

void mtf_run_forward(const mtf_plan *plan, const mtf_network *network, mtf_workspace *workspace,
                     const mtf_view *view, uint64_t dropout_key, mtf_real *const *caller)
{
    forward_context c = {.plan = plan,
                         .network = network,
                         .workspace = workspace,
                         .view = view,
                         .dropout_key = dropout_key,
                         .caller = caller};
    if (workspace->now.wide) {
        run_block(&c, 0, 0); /* not an item: its steps are parallel themselves */
    } else {
        mtf_parallel_for(workspace->now.n_blocks, run_block, &c);
    }
}

const mtf_real *mtf_run_output_value(const mtf_plan *plan, const mtf_workspace *w,
                                     const mtf_view *view, size_t output)
{
    return locate_value(plan, w, view, plan->resolved[output], NULL, 0, NULL);
}

static mtf_real *gradient_of(const mtf_plan *plan, const mtf_workspace *w, mtf_tensor_id t)
{
    if (t == MTF_NO_TENSOR || plan->grad_slot[t] < 0) {
        return NULL;
    }
    return w->gradients + w->gradient_starts[plan->grad_slot[t]];
}

mtf_real *mtf_run_output_gradient(const mtf_plan *plan, const mtf_workspace *w, size_t output)
{
    return gradient_of(plan, w, plan->resolved[output]);
}

/* Widening one tensor, by pieces. */
typedef struct widening {
    mtf_real *to;
    const uint16_t *from;
    int64_t n;
} widening;

enum { WIDEN_PIECE = 16384 };

static void widen_item(void *context, int64_t item, int worker)
{
    const widening *job = context;
    const int64_t first = item * WIDEN_PIECE;
    (void)worker;
    mtf_kernel->bf16_widen(job->to + first, job->from + first,
                           mtf_piece_end(job->n, WIDEN_PIECE, item) - first);
}

/* A tensor kept in bfloat16, as mtf_real at *to, which moves on. */
static mtf_real *widen(const mtf_plan *plan, const mtf_workspace *w, mtf_tensor_id t, mtf_real **to)
{
    const mtf_tensor *tensor = &plan->program->tensors[t];
    widening job = {*to, w->halves + w->halves_starts[plan->place[t].slot],
                    w->now.rows[tensor->space] * tensor->width};
    mtf_parallel_work(mtf_pieces(job.n, WIDEN_PIECE), job.n, widen_item, &job);
    *to += (job.n + 15) / 16 * 16;
    return job.to;
}

/* Puts widened copies where set_backward() could not point. */
static void set_halves(mtf_op_call *call, const mtf_plan *plan, const mtf_step *step,
                       const mtf_node *node, const mtf_workspace *w)
{
    const mtf_save halves = mtf_plan_halves(plan, step);
    mtf_real *to = w->widened;
    for (int k = 0; k < MTF_MAX_IN; k++) {
        if (halves.in >> k & 1u) {
            call->in[k] = widen(plan, w, step->in[k], &to);
        }
    }
    for (int o = 0; o < MTF_MAX_OUT; o++) {
        if (halves.out >> o & 1u) {
            call->out[o] = widen(plan, w, node->out[o], &to);
        }
    }
    for (int a = 0; a < MTF_MAX_AUX; a++) {
        if (halves.aux >> a & 1u) {
            call->aux[a] = widen(plan, w, node->aux[a], &to);
        }
    }
}

/* Fills one backward call; what the operation did not ask to be saved stays NULL. */
static void set_backward(mtf_op_call *call, const mtf_plan *plan, const mtf_step *step,
                         const mtf_node *node, const mtf_workspace *w, const mtf_view *view)
{
    for (int k = 0; k < MTF_MAX_IN; k++) {
        mtf_tensor_id t = step->in[k];
        if (t == MTF_NO_TENSOR) {
            continue;
        }
        const mtf_tensor *tensor = &plan->program->tensors[t];
        if (tensor->role == MTF_ROLE_INPUT) {
            if (tensor->is_ids) {
                call->ids[k] = view->inputs[t];
            } else {
                call->in[k] = view->inputs[t];
            }
        } else if (step->save.in & (1u << k)) {
            call->in[k] = locate_value(plan, w, view, t, NULL, 0, NULL);
        }
        if (step->need.dx & (1u << k)) {
            call->din[k] = gradient_of(plan, w, t);
            call->din_add[k] = step->din_add[k];
        }
    }
    for (int o = 0; o < MTF_MAX_OUT; o++) {
        if (step->save.out & (1u << o)) {
            call->out[o] = locate(plan, w, node->out[o], NULL, 0, NULL);
        }
        call->dout[o] = gradient_of(plan, w, node->out[o]);
    }
    for (int a = 0; a < MTF_MAX_AUX; a++) {
        if (step->save.aux & (1u << a)) {
            call->aux[a] = locate(plan, w, node->aux[a], NULL, 0, NULL);
        }
    }
}

/* Points a backward call at the gradients that it is to write. */
static void set_gradients(mtf_op_call *call, const mtf_step *step, const mtf_node *node,
                          const mtf_network *network)
{
    for (int k = 0; k < MTF_MAX_WEIGHTS; k++) {
        if (!(step->need.dw & (1u << k))) {
            continue;
        }
        const mtf_param *param = &network->params[node->weight[k]];
        call->dw[k] = param->gradient;
        call->dw_add[k] = param->reached;
        if (node->op->by_rows & (1u << k)) {
            call->dw_rows[k] = param->rows;
        } else {
            mtf_network_reach_rows(network, (size_t)node->weight[k]);
        }
    }
}

void mtf_run_backward(const mtf_plan *plan, mtf_network *network, mtf_workspace *workspace,
                      const mtf_view *view, uint64_t dropout_key)
{
    const mtf_span span = span_of(plan, view, workspace->now.max_length);
    for (int32_t i = 0; i < plan->n_backward && !mtf_stopping(); i++) {
        const mtf_step *step = &plan->backward[i];
        const mtf_node *node = &plan->program->nodes[step->node];
        mtf_op_call call = {.shape = &node->shape,
                            .span = &span,
                            .work = workspace->workers,
                            .work_stride = workspace->now.worker,
                            .shared = node->op->shared != NULL ? workspace->shared : NULL,
                            .grad_precision = (mtf_precision)plan->precision,
                            .dropout_key = dropout_key,
                            .dropout_on = step->dropout_on};
        set_backward(&call, plan, step, node, workspace, view);
        if (plan->halves.n_regions > 0) {
            set_halves(&call, plan, step, node, workspace);
        }
        set_weights(&call, node, network);
        set_gradients(&call, step, node, network);
        node->op->backward(&call);
        for (int k = 0; k < MTF_MAX_WEIGHTS; k++) {
            if (step->need.dw & (1u << k)) {
                network->params[node->weight[k]].reached = 1;
            }
        }
    }
}
