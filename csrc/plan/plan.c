/* plan.c: from program and freeze state to steps.
 *
 *   1. look through dropout nodes that are off (frozen unit, inference)
 *   2. forward steps: the nodes that wanted outputs depend on; marked when in the frozen prefix, and
 *      left out there when what the prefix hands on (the boundary) is given with the batch
 *   3. which tensors *need* a gradient (something trainable at or below) and which *get* one
 *      (a loss, or a backward step above): a node runs backward where both hold
 *   4. what the backward steps read is saved; places for everything else (places.c)
 * SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include "../base/alloc.h"
#include "../base/status.h"
#include "places.h"

#include <string.h>

/* Facts about tensors while a plan is made; arrays of n_tensors or n_nodes. */
typedef struct draft {
    const mtf_network *network;
    const mtf_program *program;
    mtf_plan *plan;
    unsigned char *wanted, *needs, *gets, *written, *in_prefix, *listed;
    unsigned char *runs; /* nodes */
} draft;

static int node_dropout_on(const draft *d, const mtf_node *node)
{
    return d->plan->training && d->plan->dropout && node->shape.attrs.rate > 0 &&
           (node->unit == MTF_NO_UNIT || !mtf_network_unit_frozen(d->network, node->unit));
}

static int node_trains(const draft *d, const mtf_node *node)
{
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        if (node->weight[i] >= 0 && !d->network->params[node->weight[i]].frozen) {
            return 1;
        }
    }
    return 0;
}

static void find_aliases(draft *d)
{
    for (int32_t t = 0; t < d->program->n_tensors; t++) {
        d->plan->alias[t] = t;
    }
    for (int32_t i = 0; i < d->program->n_nodes; i++) {
        const mtf_node *node = &d->program->nodes[i];
        if (node->op == &mtf_op_dropout && !node_dropout_on(d, node)) {
            d->plan->alias[node->out[0]] = d->plan->alias[node->in[0]];
        }
    }
}

static void find_forward(draft *d)
{
    mtf_plan *plan = d->plan;
    for (size_t i = 0; i < plan->n_outputs; i++) {
        plan->resolved[i] = plan->alias[plan->outputs[i]];
        d->wanted[plan->resolved[i]] = 1;
    }
    for (int32_t i = d->program->n_nodes - 1; i >= 0; i--) {
        const mtf_node *node = &d->program->nodes[i];
        for (int o = 0; o < MTF_MAX_OUT; o++) {
            if (node->out[o] != MTF_NO_TENSOR && d->wanted[node->out[o]]) {
                d->runs[i] = 1;
            }
        }
        for (int k = 0; d->runs[i] && k < MTF_MAX_IN; k++) {
            if (node->in[k] != MTF_NO_TENSOR) {
                d->wanted[plan->alias[node->in[k]]] = 1;
            }
        }
    }
}

/* A node is in the prefix when its unit is frozen whole and so is everything below it. */
static int extends_prefix(const draft *d, const mtf_node *node)
{
    if (node_trains(d, node) ||
        (node->unit != MTF_NO_UNIT && !mtf_network_unit_frozen(d->network, node->unit))) {
        return 0;
    }
    for (int k = 0; k < MTF_MAX_IN; k++) {
        if (node->in[k] != MTF_NO_TENSOR && !d->in_prefix[d->plan->alias[node->in[k]]]) {
            return 0;
        }
    }
    return 1;
}

/* Notes a tensor that the prefix hands on. */
static void add_boundary(draft *d, mtf_tensor_id t)
{
    mtf_plan *plan = d->plan;
    if (d->in_prefix[t] && !d->listed[t] && plan->program->tensors[t].role != MTF_ROLE_INPUT) {
        d->listed[t] = 1;
        if (plan->features) {
            plan->place[t] = (mtf_place){MTF_STORE_FEATURE, plan->n_boundary};
        }
        plan->boundary[plan->n_boundary++] = t;
    }
}

static void list_forward(draft *d)
{
    mtf_plan *plan = d->plan;
    plan->splits = 1;
    for (int32_t t = 0; t < d->program->n_tensors; t++) {
        d->in_prefix[t] = d->program->tensors[t].role == MTF_ROLE_INPUT;
    }
    for (int32_t i = 0; i < d->program->n_nodes; i++) {
        const mtf_node *node = &d->program->nodes[i];
        int prefix = extends_prefix(d, node);
        int needs = node_trains(d, node);
        for (int k = 0; k < MTF_MAX_IN; k++) {
            needs |= node->in[k] != MTF_NO_TENSOR && d->needs[plan->alias[node->in[k]]];
        }
        for (int o = 0; o < MTF_MAX_OUT; o++) {
            if (node->out[o] != MTF_NO_TENSOR) {
                d->in_prefix[node->out[o]] = (unsigned char)prefix;
                d->needs[node->out[o]] = (unsigned char)needs;
            }
        }
        if (!d->runs[i] || (prefix && plan->features)) {
            continue;
        }
        plan->splits &= node->op->locality != MTF_LOCAL_BATCH;
        mtf_step *step = &plan->forward[plan->n_forward++];
        *step = (mtf_step){.node = i, .in_prefix = prefix, .dropout_on = node_dropout_on(d, node)};
        for (int k = 0; k < MTF_MAX_IN; k++) {
            step->in[k] = node->in[k] == MTF_NO_TENSOR ? MTF_NO_TENSOR : plan->alias[node->in[k]];
            if (step->in[k] != MTF_NO_TENSOR && !prefix) {
                add_boundary(d, step->in[k]);
            }
        }
    }
    for (size_t i = 0; i < plan->n_outputs; i++) {
        add_boundary(d, plan->resolved[i]);
    }
}

/* What a backward step of `node` has to produce. */
static mtf_need node_need(const draft *d, const mtf_node *node, const mtf_step *step)
{
    mtf_need need = {0, 0};
    for (int k = 0; k < MTF_MAX_IN; k++) {
        if (step->in[k] != MTF_NO_TENSOR && d->needs[step->in[k]]) {
            need.dx |= 1u << k;
        }
    }
    for (int w = 0; w < MTF_MAX_WEIGHTS; w++) {
        if (node->weight[w] >= 0 && !d->network->params[node->weight[w]].frozen) {
            need.dw |= 1u << w;
        }
    }
    return need;
}

static void list_backward(draft *d)
{
    mtf_plan *plan = d->plan;
    for (size_t i = 0; i < plan->n_outputs; i++) {
        mtf_tensor_id t = plan->resolved[i];
        d->gets[t] = d->needs[t];
        d->written[t] = d->gets[t];
    }
    for (int32_t i = plan->n_forward - 1; i >= 0; i--) {
        const mtf_step *forward = &plan->forward[i];
        const mtf_node *node = &d->program->nodes[forward->node];
        int gets = 0;
        for (int o = 0; o < MTF_MAX_OUT; o++) {
            gets |= node->out[o] != MTF_NO_TENSOR && d->gets[node->out[o]];
        }
        if (!gets) {
            continue;
        }
        mtf_step *step = &plan->backward[plan->n_backward++];
        *step = *forward;
        step->need = node_need(d, node, forward);
        step->save = node->op->saves(&node->shape, step->need);
        for (int k = 0; k < MTF_MAX_IN; k++) {
            if (step->need.dx & (1u << k)) {
                d->gets[step->in[k]] = 1;
                step->din_add[k] = d->written[step->in[k]];
                d->written[step->in[k]] = 1;
            }
        }
    }
}

int mtf_plan_matches(const mtf_plan *plan, uint64_t freeze_version, const mtf_request *request)
{
    return plan->freeze_version == freeze_version && plan->training == request->training &&
           plan->dropout == request->dropout && plan->features == request->features &&
           plan->n_outputs == request->n_outputs &&
           memcmp(plan->outputs, request->outputs, request->n_outputs * sizeof *request->outputs) ==
               0;
}

static int draft_init(draft *d, const mtf_network *network, mtf_plan *plan)
{
    const mtf_program *program = network->program;
    size_t tensors = (size_t)program->n_tensors, nodes = (size_t)program->n_nodes;
    *d = (draft){.network = network, .program = program, .plan = plan};
    d->wanted = mtf_alloc_zero(6 * tensors + nodes);
    if (d->wanted == NULL) {
        return 0;
    }
    d->needs = d->wanted + tensors;
    d->gets = d->needs + tensors;
    d->written = d->gets + tensors;
    d->in_prefix = d->written + tensors;
    d->listed = d->in_prefix + tensors;
    d->runs = d->listed + tensors;
    return 1;
}

static int plan_init(mtf_plan *plan, const mtf_program *program, const mtf_request *request)
{
    size_t tensors = (size_t)program->n_tensors, nodes = (size_t)program->n_nodes;
    size_t n = request->n_outputs ? request->n_outputs : 1;
    plan->program = program;
    plan->training = request->training;
    plan->dropout = request->dropout;
    plan->features = request->features;
    plan->n_outputs = request->n_outputs;
    plan->outputs = mtf_alloc_array(n, sizeof *plan->outputs);
    plan->resolved = mtf_alloc_array(n, sizeof *plan->resolved);
    plan->forward = mtf_alloc_array(nodes, sizeof *plan->forward);
    plan->backward = mtf_alloc_array(nodes, sizeof *plan->backward);
    plan->alias = mtf_alloc_array(tensors, sizeof *plan->alias);
    plan->boundary = mtf_alloc_array(tensors, sizeof *plan->boundary);
    plan->place = mtf_alloc_zero(tensors * sizeof *plan->place);
    plan->grad_slot = mtf_alloc_array(tensors, sizeof *plan->grad_slot);
    if (plan->outputs == NULL || plan->resolved == NULL || plan->forward == NULL ||
        plan->backward == NULL || plan->alias == NULL || plan->boundary == NULL ||
        plan->place == NULL || plan->grad_slot == NULL) {
        return 0;
    }
    if (request->n_outputs > 0) {
        memcpy(plan->outputs, request->outputs, request->n_outputs * sizeof *plan->outputs);
    }
    return 1;
}

mtf_status mtf_plan_new(const mtf_network *network, uint64_t freeze_version,
                        const mtf_request *request, mtf_plan **out, mtf_error *err)
{
    draft d = {0};
    int done = 0;
    mtf_plan *plan = mtf_alloc_zero(sizeof *plan);
    if (plan == NULL) {
        return mtf_fail_memory(err, sizeof *plan);
    }
    plan->freeze_version = freeze_version;
    if (plan_init(plan, network->program, request) && draft_init(&d, network, plan)) {
        find_aliases(&d);
        find_forward(&d);
        list_forward(&d);
        if (plan->training) {
            list_backward(&d);
        }
        done = mtf_places_assign(plan, d.gets);
    }
    mtf_free(d.wanted);
    if (!done) {
        mtf_plan_free(plan);
        return mtf_fail_memory(err, sizeof *plan);
    }
    *out = plan;
    return MTF_OK;
}

const char *mtf_plan_boundary_name(const mtf_plan *plan, int32_t b)
{
    const char *name = NULL; /* the last one: "hidden" rather than "hidden_states.6" */
    for (int32_t i = 0; i < plan->program->n_outputs; i++) {
        if (plan->alias[plan->program->outputs[i].tensor] == plan->boundary[b]) {
            name = plan->program->outputs[i].name;
        }
    }
    return name;
}

void mtf_plan_free(mtf_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    mtf_free(plan->outputs);
    mtf_free(plan->resolved);
    mtf_free(plan->forward);
    mtf_free(plan->backward);
    mtf_free(plan->alias);
    mtf_free(plan->boundary);
    mtf_free(plan->place);
    mtf_free(plan->grad_slot);
    mtf_free(plan->saved.regions);
    mtf_free(plan->temporary.regions);
    mtf_free(plan->gradients.regions);
    mtf_free(plan);
}

size_t mtf_plan_work(const mtf_plan *plan, const int64_t *max_length, int backward)
{
    size_t most = 0;
    const mtf_step *steps = backward ? plan->backward : plan->forward;
    int32_t n = backward ? plan->n_backward : plan->n_forward;
    for (int32_t i = 0; i < n; i++) {
        const mtf_node *node = &plan->program->nodes[steps[i].node];
        size_t work = node->op->work(&node->shape, max_length, backward);
        most = work > most ? work : most;
    }
    return (most + 15) / 16 * 16;
}
