/* scratch.c: how much memory the steps of a plan work in, besides what they keep.
 * SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

/* The tensors kept in bfloat16 that a backward step reads: bits of its inputs, outputs and aux. */
mtf_save mtf_plan_halves(const mtf_plan *plan, const mtf_step *step)
{
    const mtf_node *node = &plan->program->nodes[step->node];
    mtf_save halves = {0};
    for (int k = 0; k < MTF_MAX_IN; k++) {
        if ((step->save.in >> k & 1u) && plan->place[step->in[k]].store == MTF_STORE_HALF) {
            halves.in |= 1u << k;
        }
    }
    for (int o = 0; o < MTF_MAX_OUT; o++) {
        if ((step->save.out >> o & 1u) && plan->place[node->out[o]].store == MTF_STORE_HALF) {
            halves.out |= 1u << o;
        }
    }
    for (int a = 0; a < MTF_MAX_AUX; a++) {
        if ((step->save.aux >> a & 1u) && plan->place[node->aux[a]].store == MTF_STORE_HALF) {
            halves.aux |= 1u << a;
        }
    }
    return halves;
}

static size_t slots_size(const mtf_slot *slots, uint32_t bits, const mtf_extent *extent)
{
    size_t size = 0;
    for (int i = 0; bits >> i != 0; i++) {
        if (bits >> i & 1u) {
            size +=
                ((size_t)extent->n_rows[slots[i].space] * (size_t)slots[i].width + 15) / 16 * 16;
        }
    }
    return size;
}

size_t mtf_plan_widened(const mtf_plan *plan, const mtf_extent *extent)
{
    size_t most = 0;
    for (int32_t i = 0; i < plan->n_backward; i++) {
        const mtf_node_shape *shape = &plan->program->nodes[plan->backward[i].node].shape;
        const mtf_save halves = mtf_plan_halves(plan, &plan->backward[i]);
        const size_t size = slots_size(shape->in, halves.in, extent) +
                            slots_size(shape->out, halves.out, extent) +
                            slots_size(shape->aux, halves.aux, extent);
        most = size > most ? size : most;
    }
    return most;
}

size_t mtf_plan_shared(const mtf_plan *plan, const mtf_extent *extent)
{
    size_t most = 0;
    for (int32_t i = 0; i < plan->n_backward; i++) {
        const mtf_step *step = &plan->backward[i];
        const mtf_node *node = &plan->program->nodes[step->node];
        if (node->op->shared != NULL) {
            size_t size =
                node->op->shared(&node->shape, extent, step->need, (mtf_precision)plan->precision);
            most = size > most ? size : most;
        }
    }
    return (most + 15) / 16 * 16;
}

size_t mtf_plan_work(const mtf_plan *plan, const mtf_extent *extent, int backward)
{
    size_t most = 0;
    const mtf_step *steps = backward ? plan->backward : plan->forward;
    int32_t n = backward ? plan->n_backward : plan->n_forward;
    for (int32_t i = 0; i < n; i++) {
        const mtf_node *node = &plan->program->nodes[steps[i].node];
        size_t work = node->op->work(&node->shape, extent, backward);
        most = work > most ? work : most;
    }
    return (most + 15) / 16 * 16;
}
