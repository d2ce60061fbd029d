/* price.c: a plan's FLOPs and bytes for one micro-batch; what `summary` and `estimate` read.
 * SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include "../base/alloc.h"

#include <string.h>

static void price_forward(const mtf_plan *plan, const mtf_extent *extent, mtf_plan_info *info,
                          mtf_plan_unit *units)
{
    for (int32_t i = 0; i < plan->n_forward; i++) {
        const mtf_step *step = &plan->forward[i];
        const mtf_node *node = &plan->program->nodes[step->node];
        mtf_cost cost = node->op->cost(&node->shape, extent);
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
    }
}

static void price_backward(const mtf_plan *plan, const mtf_extent *extent, mtf_plan_info *info,
                           mtf_plan_unit *units)
{
    for (int32_t i = 0; i < plan->n_backward; i++) {
        const mtf_step *step = &plan->backward[i];
        const mtf_node *node = &plan->program->nodes[step->node];
        mtf_cost cost = node->op->cost(&node->shape, extent);
        double dx = step->need.dx ? cost.dx : 0, dw = step->need.dw ? cost.dw : 0;
        info->dx_flops += dx;
        info->dw_flops += dw;
        if (units != NULL && node->unit != MTF_NO_UNIT) {
            units[node->unit].dx_flops += dx;
            units[node->unit].dw_flops += dw;
        }
    }
}

static void price_parameters(const mtf_network *network, mtf_plan_info *info)
{
    for (int32_t i = 0; i < network->program->n_params; i++) {
        int64_t size = network->program->params[i].size;
        info->n_values += size;
        info->n_trainable += network->params[i].frozen ? 0 : size;
    }
    info->weight_bytes = (uint64_t)info->n_values * sizeof(mtf_real);
    info->gradient_bytes = (uint64_t)info->n_trainable * sizeof(mtf_real);
    info->moment_bytes = 2 * info->gradient_bytes;
}

void mtf_plan_price(const mtf_plan *plan, const mtf_network *network, const mtf_extent *extent,
                    mtf_plan_info *info, mtf_plan_unit *units)
{
    memset(info, 0, sizeof *info);
    if (units != NULL) {
        memset(units, 0, (size_t)plan->program->n_units * sizeof *units);
    }
    price_forward(plan, extent, info, units);
    price_backward(plan, extent, info, units);
    price_parameters(network, info);
    info->n_forward = plan->n_forward;
    info->n_backward = plan->n_backward;
    info->saved_bytes = mtf_arena_layout(&plan->saved, extent->n_rows, NULL) * sizeof(mtf_real);
    info->activation_grad_bytes =
        mtf_arena_layout(&plan->gradients, extent->n_rows, NULL) * sizeof(mtf_real);
    size_t forward = mtf_arena_layout(&plan->temporary, extent->n_rows, NULL) +
                     mtf_plan_work(plan, extent->max_length, 0);
    size_t backward = mtf_plan_work(plan, extent->max_length, 1);
    info->worker_bytes = (forward > backward ? forward : backward) * sizeof(mtf_real);
    for (int32_t t = 0; units != NULL && t < plan->program->n_tensors; t++) {
        int32_t node = plan->program->tensors[t].node;
        if (plan->place[t].store != MTF_STORE_SAVED || node < 0 ||
            plan->program->nodes[node].unit == MTF_NO_UNIT) {
            continue;
        }
        const mtf_region *region = &plan->saved.regions[plan->place[t].slot];
        units[plan->program->nodes[node].unit].saved_bytes +=
            (uint64_t)(extent->n_rows[region->space] * region->width) * sizeof(mtf_real);
    }
}
