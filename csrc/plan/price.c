/* price.c: what a plan does with one batch: its FLOPs, and the bytes that running it reserves.
 * SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include <string.h>

/* Units whose weights a step of another unit reads run with it, and lie in the prefix where it does: a
 * step of the prefix has frozen weights only. */
static void mark_lenders(const mtf_plan *plan, const mtf_step *step, mtf_plan_unit *units)
{
    const mtf_node *node = &plan->program->nodes[step->node];
    for (int w = 0; w < MTF_MAX_WEIGHTS; w++) {
        const int32_t unit =
            node->weight[w] >= 0 ? plan->program->params[node->weight[w]].unit : node->unit;
        if (unit != node->unit) {
            units[unit].runs = 1;
            units[unit].in_prefix |= step->in_prefix;
        }
    }
}

static void price_forward(const mtf_plan *plan, const mtf_extent *extent, mtf_plan_info *info,
                          mtf_plan_unit *units)
{
    for (int32_t i = 0; i < plan->n_forward; i++) {
        const mtf_step *step = &plan->forward[i];
        const mtf_node *node = &plan->program->nodes[step->node];
        mtf_cost cost = node->op->cost(&node->shape, extent, (mtf_need){0, 0});
        info->forward_flops += cost.forward;
        info->prefix_flops += step->in_prefix ? cost.forward : 0;
        if (units == NULL || node->unit == MTF_NO_UNIT) {
            continue;
        }
        mtf_plan_unit *unit = &units[node->unit];
        unit->in_prefix = unit->runs ? unit->in_prefix && step->in_prefix : step->in_prefix;
        unit->runs = 1;
        unit->dropout |= step->dropout_on;
        unit->forward_flops += cost.forward;
        mark_lenders(plan, step, units);
    }
}

static void price_backward(const mtf_plan *plan, const mtf_extent *extent, mtf_plan_info *info,
                           mtf_plan_unit *units)
{
    for (int32_t i = 0; i < plan->n_backward; i++) {
        const mtf_step *step = &plan->backward[i];
        const mtf_node *node = &plan->program->nodes[step->node];
        mtf_cost cost = node->op->cost(&node->shape, extent, step->need);
        info->dx_flops += cost.dx;
        info->dw_flops += cost.dw;
        if (units != NULL && node->unit != MTF_NO_UNIT) {
            units[node->unit].dx_flops += cost.dx;
            units[node->unit].dw_flops += cost.dw;
        }
    }
}

typedef struct form_sum {
    const mtf_network *network;
    uint64_t bytes;
} form_sum;

static void add_form(void *context, int32_t param, mtf_use use, mtf_precision precision)
{
    form_sum *sum = context;
    sum->bytes += mtf_form_bytes(&sum->network->params[param].handle, use, precision);
}

/* Bytes of the statistics that a step finds. */
static uint64_t found_bytes(const mtf_plan *plan)
{
    uint64_t bytes = 0;
    for (int32_t i = 0; i < plan->n_forward; i++) {
        const mtf_node *node = &plan->program->nodes[plan->forward[i].node];
        for (int k = 0; k < MTF_MAX_WEIGHTS; k++) {
            if (node->op->moves >> k & 1u) {
                bytes += (uint64_t)plan->program->params[node->weight[k]].size * sizeof(mtf_real);
            }
        }
    }
    return bytes;
}

/* A backward step of the plan gives parameter `p` a gradient; *by_rows: and does so by rows. */
static int reaches(const mtf_plan *plan, int32_t p, int *by_rows)
{
    int found = 0;
    *by_rows = 0;
    for (int32_t i = 0; i < plan->n_backward; i++) {
        const mtf_step *step = &plan->backward[i];
        const mtf_node *node = &plan->program->nodes[step->node];
        for (int k = 0; k < MTF_MAX_WEIGHTS; k++) {
            if ((step->need.dw & (1u << k)) && node->weight[k] == p) {
                found = 1;
                *by_rows |= (node->op->by_rows >> k & 1u) != 0;
            }
        }
    }
    return found;
}

static void price_parameters(const mtf_plan *plan, const mtf_network *network, mtf_plan_info *info)
{
    for (int32_t i = 0; i < network->program->n_params; i++) {
        const int64_t size = network->program->params[i].size;
        info->n_values += size;
        int by_rows;
        if (reaches(plan, i, &by_rows)) {
            info->gradient_bytes += (uint64_t)size * sizeof(mtf_real);
            info->row_bytes += by_rows ? (uint64_t)network->program->params[i].shape[0] : 0;
        }
    }
    info->row_bytes += found_bytes(plan);
    info->weight_bytes = (uint64_t)info->n_values * sizeof(mtf_real);
    info->moment_bytes = 2 * info->gradient_bytes;
    form_sum forms = {network, 0};
    mtf_plan_forms(plan, &forms, add_form);
    info->form_bytes = forms.bytes;
}

static void raise_to(size_t *most, size_t size)
{
    *most = size > *most ? size : *most;
}

/* Arenas grow each to the largest that any micro-batch wants; `largest`: of the most saved. */
static void price_arenas(const mtf_plan *plan, const mtf_view *view, int64_t token_budget,
                         mtf_plan_info *info, mtf_sizes *largest)
{
    mtf_sizes most = {0};
    memset(largest, 0, sizeof *largest);
    for (int64_t first = 0, n; first < view->n_sequences; first += n) {
        mtf_sizes sizes;
        n = mtf_plan_cut(plan, view, first, token_budget);
        const mtf_view part = mtf_view_part(plan->program, view, first, n);
        mtf_plan_measure(plan, &part, NULL, &sizes);
        if (first == 0 || sizes.saved + sizes.halves > largest->saved + largest->halves) {
            *largest = sizes;
        }
        raise_to(&most.saved, sizes.saved);
        raise_to(&most.halves, sizes.halves);
        raise_to(&most.gradients, sizes.gradients);
        raise_to(&most.workers, sizes.workers);
        raise_to(&most.shared, sizes.shared);
        raise_to(&most.widened, sizes.widened);
    }
    info->saved_bytes = most.saved * sizeof(mtf_real) + most.halves * sizeof(uint16_t);
    info->activation_grad_bytes = most.gradients * sizeof(mtf_real);
    info->worker_bytes = most.workers * sizeof(mtf_real);
    info->shared_bytes = (most.shared + most.widened) * sizeof(mtf_real);
}

static void price_saved(const mtf_plan *plan, const mtf_sizes *sizes, mtf_plan_unit *units)
{
    for (int32_t t = 0; t < plan->program->n_tensors; t++) {
        const int32_t node = plan->program->tensors[t].node;
        const int half = plan->place[t].store == MTF_STORE_HALF;
        if ((!half && plan->place[t].store != MTF_STORE_SAVED) || node < 0 ||
            plan->program->nodes[node].unit == MTF_NO_UNIT) {
            continue;
        }
        const mtf_arena *arena = half ? &plan->halves : &plan->saved;
        const mtf_region *region = &arena->regions[plan->place[t].slot];
        units[plan->program->nodes[node].unit].saved_bytes +=
            (uint64_t)(sizes->rows[region->space] * region->width) *
            (half ? sizeof(uint16_t) : sizeof(mtf_real));
    }
}

void mtf_plan_price(const mtf_plan *plan, const mtf_network *network, const mtf_view *view,
                    int64_t token_budget, mtf_plan_info *info, mtf_plan_unit *units)
{
    mtf_extent extent = {0};
    mtf_sizes largest;
    memset(info, 0, sizeof *info);
    if (units != NULL) {
        memset(units, 0, (size_t)plan->program->n_units * sizeof *units);
    }
    for (int32_t s = 0; s < plan->program->n_spaces; s++) {
        extent.n_rows[s] = mtf_view_rows(view, s);
        extent.max_length[s] = mtf_view_max_length(view, s);
        extent.offsets[s] = view->offsets[s];
        extent.widths[s] = view->widths[s];
    }
    price_forward(plan, &extent, info, units);
    price_backward(plan, &extent, info, units);
    price_parameters(plan, network, info);
    info->couples = !plan->splits;
    info->n_trainable = plan->n_trainable;
    info->n_forward = plan->n_forward;
    info->n_backward = plan->n_backward;
    price_arenas(plan, view, token_budget, info, &largest);
    if (units != NULL) {
        price_saved(plan, &largest, units);
    }
}
