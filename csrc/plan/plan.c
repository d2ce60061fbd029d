/* plan.c: from program and freeze state to steps.
 *
 *   1. look through dropout nodes that are off (frozen unit, inference)
 *   2. forward steps: the nodes that wanted outputs depend on, not looking below what is given with
 *      the batch; marked when in the frozen prefix, whose last tensors are its boundary
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
    const mtf_freeze_mask *frozen; /* of the request */
    mtf_plan *plan;
    unsigned char *wanted, *given, *needs, *gets, *written, *in_prefix, *listed;
    unsigned char *constant; /* tensors: mtf_program_mark_constant() */
    unsigned char *runs;     /* nodes */
    unsigned char *adapted;  /* units: an adapter changes what they compute, and trains */
} draft;

static int param_frozen(const draft *d, int32_t param)
{
    return mtf_network_param_frozen(d->network, d->frozen, param);
}

static int unit_frozen(const draft *d, int32_t unit)
{
    return mtf_network_unit_frozen(d->network, d->frozen, unit);
}

static int node_dropout_on(const draft *d, const mtf_node *node)
{
    return d->plan->training && d->plan->dropout && node->shape.attrs.rate > 0 &&
           (node->unit == MTF_NO_UNIT || !unit_frozen(d, node->unit));
}

/* Whether weights first .. last - 1 of a node have one that trains. */
static int weights_train(const draft *d, const mtf_node *node, int first, int last)
{
    for (int i = first; i < last; i++) {
        if (node->weight[i] >= 0 && !param_frozen(d, node->weight[i])) {
            return 1;
        }
    }
    return 0;
}

/* What the forward products of each weight are made in: what was said for a frozen weight, else what
 * the run asks for. */
static void set_precision(const draft *d, const mtf_node *node, mtf_precision *precision)
{
    const int asked = d->plan->precision;
    const int for_all = !d->plan->training && asked >= 0 && asked < MTF_UNLESS_FROZEN;
    const int otherwise = asked >= MTF_UNLESS_FROZEN ? asked - MTF_UNLESS_FROZEN
                          : asked == MTF_AS_FROZEN   ? MTF_PRECISION_F32
                                                     : asked;
    for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
        if ((node->op->factors >> i & 1u) && node->weight[i] >= 0) {
            const mtf_param *param = &d->network->params[node->weight[i]];
            const int said = !for_all && param->precision != MTF_PRECISION_F32 &&
                             param_frozen(d, node->weight[i]);
            precision[i] = said ? param->precision : (mtf_precision)otherwise;
        }
    }
}

/* Whether a node runs if it is needed: there may be one for training and one for all else. */
static int is_active(const draft *d, const mtf_node *node)
{
    if (node->when == MTF_ALWAYS) {
        return 1;
    }
    const int moves =
        d->plan->training && !mtf_network_stands(d->network, d->frozen, node->statistics);
    return moves == (node->when == MTF_WHILE_MOVING);
}

static int node_trains(const draft *d, const mtf_node *node)
{
    return weights_train(d, node, 0, MTF_MAX_WEIGHTS);
}

/* Whether an output of a node has something trainable below it, besides what its inputs have. */
static int output_trains(const draft *d, const mtf_node *node, int output)
{
    return node->op->in_pairs ? weights_train(d, node, 2 * output, 2 * output + 2)
                              : node_trains(d, node);
}

static void count_trainable(draft *d)
{
    for (int32_t p = 0; p < d->program->n_params; p++) {
        d->plan->n_trainable += param_frozen(d, p) ? 0 : d->program->params[p].size;
    }
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
    for (size_t g = 0; g < plan->n_given; g++) {
        d->given[plan->alias[plan->given[g]]] = 1;
    }
    for (int32_t i = d->program->n_nodes - 1; i >= 0; i--) {
        const mtf_node *node = &d->program->nodes[i];
        for (int o = 0; is_active(d, node) && o < MTF_MAX_OUT; o++) {
            const mtf_tensor_id t = node->out[o];
            d->runs[i] |= t != MTF_NO_TENSOR && d->wanted[t] && !d->given[t];
        }
        for (int o = 0; d->runs[i] && o < MTF_MAX_OUT; o++) {
            if (node->out[o] != MTF_NO_TENSOR) {
                d->given[node->out[o]] = 0; /* computed with its sibling */
            }
        }
        for (int k = 0; d->runs[i] && k < MTF_MAX_IN; k++) {
            if (node->in[k] != MTF_NO_TENSOR) {
                d->wanted[plan->alias[node->in[k]]] = 1;
            }
        }
    }
    for (size_t g = plan->n_given; g-- > 0;) { /* of two names of one tensor the first is read */
        const mtf_tensor_id t = plan->alias[plan->given[g]];
        if (d->given[t] && d->wanted[t]) {
            plan->place[t] = (mtf_place){MTF_STORE_FEATURE, (int32_t)g};
        }
    }
}

static void find_adapted(draft *d)
{
    for (int32_t i = 0; i < d->program->n_nodes; i++) {
        const mtf_node *node = &d->program->nodes[i];
        if (node->host != node->unit && node->host != MTF_NO_UNIT && node_trains(d, node)) {
            d->adapted[node->host] = 1;
        }
    }
}

/* A node is in the prefix when its unit is frozen whole, with what adapts it, and so is everything
 * below it. */
static int extends_prefix(const draft *d, const mtf_node *node)
{
    if (node_trains(d, node) ||
        (node->unit != MTF_NO_UNIT && (!unit_frozen(d, node->unit) || d->adapted[node->unit]))) {
        return 0;
    }
    for (int k = 0; k < MTF_MAX_IN; k++) {
        if (node->in[k] != MTF_NO_TENSOR && !d->in_prefix[d->plan->alias[node->in[k]]]) {
            return 0;
        }
    }
    return 1;
}

/* Notes a tensor that the prefix hands on. One that no input is read for is made anew: nothing would be
 * spared by keeping it for every sequence. */
static void add_boundary(draft *d, mtf_tensor_id t)
{
    mtf_plan *plan = d->plan;
    if (d->in_prefix[t] && !d->listed[t] && !d->constant[t] &&
        plan->program->tensors[t].role != MTF_ROLE_INPUT) {
        d->listed[t] = 1;
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
        if (!is_active(d, node)) {
            continue;
        }
        int prefix = extends_prefix(d, node);
        int needs = 0;
        for (int k = 0; k < MTF_MAX_IN; k++) {
            needs |= node->in[k] != MTF_NO_TENSOR && d->needs[plan->alias[node->in[k]]];
        }
        for (int o = 0; o < MTF_MAX_OUT; o++) {
            if (node->out[o] != MTF_NO_TENSOR) {
                d->in_prefix[node->out[o]] = (unsigned char)prefix;
                d->needs[node->out[o]] = (unsigned char)(needs || output_trains(d, node, o));
            }
        }
        if (!d->runs[i]) {
            continue;
        }
        plan->splits &= node->op->locality != MTF_LOCAL_BATCH;
        mtf_step *step = &plan->forward[plan->n_forward++];
        *step = (mtf_step){.node = i, .in_prefix = prefix, .dropout_on = node_dropout_on(d, node)};
        set_precision(d, node, step->precision);
        plan->spaces |= 1u << node->shape.in[0].space | 1u << node->shape.out[0].space;
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
    mtf_plan_mark_blocks(plan);
}

/* The lowest node that trains, or whose unit does, among those that tensor `t` depends on. */
static const mtf_node *find_trainable_below(draft *d, mtf_tensor_id t)
{
    const mtf_node *lowest = NULL;
    unsigned char *below = d->listed; /* not needed any more */
    memset(below, 0, (size_t)d->program->n_tensors);
    below[t] = 1;
    for (int32_t i = d->program->n_nodes - 1; i >= 0; i--) {
        const mtf_node *node = &d->program->nodes[i];
        int depends = 0;
        if (!is_active(d, node)) {
            continue;
        }
        for (int o = 0; o < MTF_MAX_OUT; o++) {
            depends |= node->out[o] != MTF_NO_TENSOR && below[node->out[o]];
        }
        for (int k = 0; depends && k < MTF_MAX_IN; k++) {
            if (node->in[k] != MTF_NO_TENSOR) {
                below[d->plan->alias[node->in[k]]] = 1;
            }
        }
        if (depends && node->unit != MTF_NO_UNIT &&
            (node_trains(d, node) || !unit_frozen(d, node->unit))) {
            lowest = node;
        }
    }
    return lowest;
}

/* The unit for whose sake a node trains: that of its lowest weight that does, such as a table which
 * other units read, else its own. */
static int32_t trainable_unit(const draft *d, const mtf_node *node)
{
    int32_t unit = node->unit;
    for (int w = 0; w < MTF_MAX_WEIGHTS; w++) {
        if (weights_train(d, node, w, w + 1)) {
            const int32_t of = d->program->params[node->weight[w]].unit;
            unit = of < unit ? of : unit;
        }
    }
    return unit;
}

/* In training, values that are given and read must not change from step to step. */
static mtf_status check_given(draft *d, mtf_error *err)
{
    const mtf_plan *plan = d->plan;
    for (size_t g = 0; plan->training && g < plan->n_given; g++) {
        const mtf_tensor_id t = plan->alias[plan->given[g]];
        if (plan->place[t].store != MTF_STORE_FEATURE || d->in_prefix[t]) {
            continue;
        }
        const mtf_node *node = find_trainable_below(d, t);
        const char *unit =
            node != NULL ? d->program->units[trainable_unit(d, node)].path : "something";
        return mtf_fail(err, MTF_ERR_VALUE,
                        "\"%s\" cannot be given in training: %s trains below it, so its values "
                        "change with every step; freeze %s, or give an output below it",
                        mtf_program_output_name(d->program, plan->given[g]), unit, unit);
    }
    return MTF_OK;
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
        if (node->weight[w] >= 0 && !param_frozen(d, node->weight[w])) {
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

static int same_ids(const mtf_tensor_id *a, size_t n_a, const mtf_tensor_id *b, size_t n_b)
{
    return n_a == n_b && (n_a == 0 || memcmp(a, b, n_a * sizeof *a) == 0);
}

int mtf_plan_matches(const mtf_plan *plan, uint64_t freeze_version, const mtf_request *request)
{
    return plan->freeze_version == freeze_version && plan->training == request->training &&
           plan->dropout == request->dropout && plan->precision == request->precision &&
           plan->save_bf16 == request->save_bf16 &&
           same_ids(plan->outputs, plan->n_outputs, request->outputs, request->n_outputs) &&
           same_ids(plan->given, plan->n_given, request->given, request->n_given);
}

static int draft_init(draft *d, const mtf_network *network, const mtf_freeze_mask *frozen,
                      mtf_plan *plan)
{
    const mtf_program *program = network->program;
    size_t tensors = (size_t)program->n_tensors, nodes = (size_t)program->n_nodes;
    *d = (draft){.network = network, .program = program, .frozen = frozen, .plan = plan};
    d->wanted = mtf_alloc_zero(8 * tensors + nodes + (size_t)program->n_units);
    if (d->wanted == NULL) {
        return 0;
    }
    d->given = d->wanted + tensors;
    d->needs = d->given + tensors;
    d->gets = d->needs + tensors;
    d->written = d->gets + tensors;
    d->in_prefix = d->written + tensors;
    d->listed = d->in_prefix + tensors;
    d->constant = d->listed + tensors;
    d->runs = d->constant + tensors;
    mtf_program_mark_constant(program, d->constant);
    d->adapted = d->runs + nodes;
    return 1;
}

/* A copy of n ids; with n 0 a block too, so that NULL means that memory is short. */
static mtf_tensor_id *copy_ids(const mtf_tensor_id *ids, size_t n)
{
    mtf_tensor_id *copy = mtf_alloc_array(n + 1, sizeof *copy);
    if (copy != NULL && n > 0) {
        memcpy(copy, ids, n * sizeof *copy);
    }
    return copy;
}

static int plan_init(mtf_plan *plan, const mtf_program *program, const mtf_request *request)
{
    size_t tensors = (size_t)program->n_tensors, nodes = (size_t)program->n_nodes;
    plan->program = program;
    plan->training = request->training;
    plan->dropout = request->dropout;
    plan->precision = request->precision;
    plan->save_bf16 = request->save_bf16;
    plan->n_outputs = request->n_outputs;
    plan->n_given = request->n_given;
    plan->outputs = copy_ids(request->outputs, request->n_outputs);
    plan->resolved = copy_ids(request->outputs, request->n_outputs);
    plan->given = copy_ids(request->given, request->n_given);
    plan->forward = mtf_alloc_array(nodes, sizeof *plan->forward);
    plan->backward = mtf_alloc_array(nodes, sizeof *plan->backward);
    plan->alias = mtf_alloc_array(tensors, sizeof *plan->alias);
    plan->boundary = mtf_alloc_array(tensors, sizeof *plan->boundary);
    plan->place = mtf_alloc_zero(tensors * sizeof *plan->place);
    plan->narrow = mtf_alloc_zero(tensors);
    plan->grad_slot = mtf_alloc_array(tensors, sizeof *plan->grad_slot);
    plan->scratch = mtf_alloc_array(tensors, sizeof *plan->scratch);
    return plan->outputs != NULL && plan->resolved != NULL && plan->given != NULL &&
           plan->forward != NULL && plan->backward != NULL && plan->alias != NULL &&
           plan->boundary != NULL && plan->place != NULL && plan->narrow != NULL &&
           plan->grad_slot != NULL && plan->scratch != NULL;
}

mtf_status mtf_plan_new(const mtf_network *network, uint64_t freeze_version,
                        const mtf_request *request, mtf_plan **out, mtf_error *err)
{
    draft d = {0};
    mtf_plan *plan = mtf_alloc_zero(sizeof *plan);
    if (plan == NULL) {
        return mtf_fail_memory(err, sizeof *plan);
    }
    plan->freeze_version = freeze_version;
    mtf_status status = MTF_ERR_MEMORY;
    if (plan_init(plan, network->program, request) &&
        draft_init(&d, network, request->frozen, plan)) {
        count_trainable(&d);
        find_aliases(&d);
        find_adapted(&d);
        find_forward(&d);
        list_forward(&d);
        status = check_given(&d, err);
    }
    if (status == MTF_OK && plan->training) {
        list_backward(&d);
    }
    if (status == MTF_OK &&
        (!mtf_plan_mark_forms(plan) || !mtf_places_assign(plan, d.gets, d.in_prefix))) {
        status = MTF_ERR_MEMORY;
    }
    mtf_free(d.wanted);
    if (status != MTF_OK) {
        mtf_plan_free(plan);
        return status == MTF_ERR_MEMORY ? mtf_fail_memory(err, sizeof *plan) : status;
    }
    *out = plan;
    return MTF_OK;
}

void mtf_plan_free(mtf_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    mtf_free(plan->outputs);
    mtf_free(plan->resolved);
    mtf_free(plan->given);
    mtf_free(plan->forward);
    mtf_free(plan->backward);
    mtf_free(plan->alias);
    mtf_free(plan->boundary);
    mtf_free(plan->place);
    mtf_free(plan->narrow);
    mtf_free(plan->grad_slot);
    mtf_free(plan->scratch);
    mtf_free(plan->saved.regions);
    mtf_free(plan->halves.regions);
    mtf_free(plan->temporary.regions);
    mtf_free(plan->gradients.regions);
    mtf_free(plan);
}
