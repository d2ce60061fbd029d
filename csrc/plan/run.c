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

/* A part of the view, which a worker takes through some steps, and its rows before it: in the view, and
 * in the block of the worker. */
typedef struct run_part {
    mtf_view view;
    mtf_span span;
    int64_t before[MTF_MAX_SPACES], in_block[MTF_MAX_SPACES];
    mtf_real *worker;
} run_part;

/* Values before a temporary's rows of a part: early regions hold what the part has, others all of the
 * block. */
static int64_t temporary_skipped(const mtf_plan *plan, mtf_tensor_id t, int32_t slot,
                                 const run_part *part)
{
    const mtf_tensor *tensor = &plan->program->tensors[t];
    const mtf_region *region = &plan->temporary.regions[slot];
    return region->early ? 0 : part->in_block[tensor->space] * tensor->width;
}

/* A temporary of a part. */
static mtf_real *locate_temporary(const mtf_plan *plan, const mtf_workspace *w, mtf_tensor_id t,
                                  int32_t slot, const run_part *part)
{
    return part->worker + w->temporary_starts[slot] + temporary_skipped(plan, t, slot, part);
}

/* The rows of a tensor that belong to a part, or with NULL all of the view; NULL: not there. */
static mtf_real *locate(const mtf_plan *plan, const mtf_workspace *w, mtf_tensor_id t,
                        const run_part *part, mtf_real *const *caller)
{
    if (t == MTF_NO_TENSOR) {
        return NULL;
    }
    const mtf_tensor *tensor = &plan->program->tensors[t];
    const int64_t row = part != NULL ? part->before[tensor->space] : 0;
    const size_t skipped = (size_t)row * (size_t)tensor->width;
    const int32_t slot = plan->place[t].slot;
    switch (plan->place[t].store) {
    case MTF_STORE_SAVED:
        return w->saved + w->saved_starts[slot] + skipped;
    case MTF_STORE_TEMPORARY:
        return locate_temporary(plan, w, t, slot, part);
    case MTF_STORE_HALF: /* forward; backward widens it first */
        return part != NULL ? locate_temporary(plan, w, t, plan->scratch[t], part) : NULL;
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
                                    const mtf_view *view, mtf_tensor_id t, const run_part *part,
                                    mtf_real *const *caller)
{
    if (plan->place[t].store == MTF_STORE_FEATURE) {
        const mtf_tensor *tensor = &plan->program->tensors[t];
        const int64_t row = part != NULL ? part->before[tensor->space] : 0;
        return view->features[plan->place[t].slot] + row * tensor->width;
    }
    return locate(plan, w, t, part, caller);
}

/* A temporary that lies in bfloat16. */
static uint16_t *locate_half(const mtf_plan *plan, const mtf_workspace *w, mtf_tensor_id t,
                             const run_part *part)
{
    const int32_t slot = plan->place[t].slot;
    uint16_t *begin = (uint16_t *)(void *)(part->worker + w->temporary_starts[slot]);
    return begin + temporary_skipped(plan, t, slot, part);
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
                        const run_part *part)
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
                                   part->before[tensor->space] * tensor->width,
                               locate_temporary(plan, w, t, plan->scratch[t], part),
                               part->span.n_rows[tensor->space] * tensor->width);
    }
}

static void run_step(const forward_context *c, const mtf_step *step, const run_part *part)
{
    const mtf_plan *plan = c->plan;
    const mtf_node *node = &plan->program->nodes[step->node];
    mtf_op_call call = {.shape = &node->shape,
                        .span = &part->span,
                        .work = part->worker + c->workspace->now.work_start,
                        .work_stride = c->workspace->now.wide ? c->workspace->now.worker : 0,
                        .dropout_key = c->dropout_key,
                        .dropout_on = step->dropout_on};
    memcpy(call.precision, step->precision, sizeof call.precision);
    for (int k = 0; k < MTF_MAX_IN; k++) {
        mtf_tensor_id t = step->in[k];
        if (t == MTF_NO_TENSOR) {
            continue;
        }
        const mtf_tensor *tensor = &plan->program->tensors[t];
        if (tensor->role == MTF_ROLE_INPUT) {
            if (tensor->is_ids) {
                call.ids[k] = part->view.inputs[t];
            } else {
                call.in[k] = part->view.inputs[t];
            }
        } else if (plan->narrow[t]) {
            call.in_half[k] = locate_half(plan, c->workspace, t, part);
        } else {
            call.in[k] = locate_value(plan, c->workspace, c->view, t, part, c->caller);
        }
    }
    for (int o = 0; o < MTF_MAX_OUT; o++) {
        if (node->out[o] != MTF_NO_TENSOR && plan->narrow[node->out[o]]) {
            call.out_half[o] = locate_half(plan, c->workspace, node->out[o], part);
        } else {
            call.out[o] = locate(plan, c->workspace, node->out[o], part, c->caller);
        }
    }
    for (int a = 0; a < MTF_MAX_AUX; a++) {
        call.aux[a] = locate(plan, c->workspace, node->aux[a], part, c->caller);
    }
    set_weights(&call, node, c->network);
    node->op->forward(&call);
    mark_found(node, c->network);
    if (plan->halves.n_regions > 0) {
        keep_halves(c, node->out, MTF_MAX_OUT, part);
        keep_halves(c, node->aux, MTF_MAX_AUX, part);
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

/* Takes sequences first .. last - 1 of the view, in a block that begins at `block`, through the steps
 * from `step` on, before `end`. */
static void run_steps(const forward_context *c, int64_t block, int64_t first, int64_t last,
                      int32_t step, int32_t end, mtf_real *worker)
{
    const mtf_plan *plan = c->plan;
    run_part part = {.view = mtf_view_part(plan->program, c->view, first, last - first),
                     .worker = worker};
    part.span = span_of(plan, &part.view, c->workspace->now.max_length);
    for (int32_t s = 0; s < plan->program->n_spaces; s++) {
        part.before[s] = c->view->offsets[s][first] - c->view->offsets[s][0];
        part.in_block[s] = c->view->offsets[s][first] - c->view->offsets[s][block];
    }
    for (int32_t i = step; i < end && !mtf_stopping(); i++) {
        run_step(c, &plan->forward[i], &part);
    }
}

static void run_block(void *context, int64_t item, int number)
{
    const forward_context *c = context;
    const mtf_workspace *w = c->workspace;
    const int64_t first = w->blocks[item];
    const int64_t last = w->blocks[item + 1];
    mtf_real *worker = w->workers + (size_t)number * w->now.worker;
    for (int64_t s = first, end; s < last; s = end) {
        end = mtf_early_end(c->plan, c->view, s, last, w->now.n_at_once);
        run_steps(c, first, s, end, 0, c->plan->n_early, worker);
    }
    run_steps(c, first, first, last, c->plan->n_early, c->plan->n_forward, worker);
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
    return locate_value(plan, w, view, plan->resolved[output], NULL, NULL);
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
            call->in[k] = locate_value(plan, w, view, t, NULL, NULL);
        }
        if (step->need.dx & (1u << k)) {
            call->din[k] = gradient_of(plan, w, t);
            call->din_add[k] = step->din_add[k];
        }
    }
    for (int o = 0; o < MTF_MAX_OUT; o++) {
        if (step->save.out & (1u << o)) {
            call->out[o] = locate(plan, w, node->out[o], NULL, NULL);
        }
        call->dout[o] = gradient_of(plan, w, node->out[o]);
    }
    for (int a = 0; a < MTF_MAX_AUX; a++) {
        if (step->save.aux & (1u << a)) {
            call->aux[a] = locate(plan, w, node->aux[a], NULL, NULL);
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
