/* places.c: regions for tensors: one each for what is saved, shared ones for what is short-lived.
 *
 * Short-lived tensors take the free region of their row space that fits best (the smallest that is
 * wide enough, else the widest, widened); a region is free again after the last step that reads its
 * tensor. A step's outputs are placed before its inputs are let go, so they never overlap.
 * SPDX-License-Identifier: Apache-2.0 */
#include "places.h"

#include "../base/alloc.h"

#include <string.h>

typedef struct pool {
    mtf_arena *arena;
    unsigned char *busy; /* one a region */
    int32_t capacity;
} pool;

static int32_t add_region(mtf_arena *arena, int32_t space, int64_t width, int32_t early)
{
    if (arena->n_regions == arena->capacity) {
        int32_t wanted = arena->capacity ? 2 * arena->capacity : 16;
        mtf_region *grown = mtf_realloc(arena->regions, (size_t)wanted * sizeof *grown);
        if (grown == NULL) {
            return -1;
        }
        arena->regions = grown;
        arena->capacity = wanted;
    }
    arena->regions[arena->n_regions] = (mtf_region){.space = space, .early = early, .width = width};
    return arena->n_regions++;
}

static int32_t take(pool *p, int32_t space, int64_t width, int32_t early)
{
    mtf_region *regions = p->arena->regions;
    int32_t best = -1;
    for (int32_t r = 0; r < p->arena->n_regions; r++) {
        if (p->busy[r] || regions[r].space != space || regions[r].early != early) {
            continue;
        }
        if (best < 0) {
            best = r;
            continue;
        }
        int fits = regions[r].width >= width, best_fits = regions[best].width >= width;
        if (fits != best_fits ? fits
                              : (fits ? regions[r].width < regions[best].width
                                      : regions[r].width > regions[best].width)) {
            best = r;
        }
    }
    if (best < 0) {
        best = add_region(p->arena, space, width, early);
        if (best >= p->capacity) {
            return -1; /* cannot be: capacity is one region a tensor */
        }
    } else if (regions[best].width < width) {
        regions[best].width = width;
    }
    if (best >= 0) {
        p->busy[best] = 1;
    }
    return best;
}

static int save(mtf_plan *plan, mtf_tensor_id t, int in_half)
{
    const mtf_tensor *tensor = &plan->program->tensors[t];
    if (tensor->role == MTF_ROLE_INPUT || plan->place[t].store == MTF_STORE_SAVED ||
        plan->place[t].store == MTF_STORE_HALF || plan->place[t].store == MTF_STORE_FEATURE) {
        return 1;
    }
    int32_t slot =
        add_region(in_half ? &plan->halves : &plan->saved, tensor->space, tensor->width, 0);
    plan->place[t] = (mtf_place){in_half ? MTF_STORE_HALF : MTF_STORE_SAVED, slot};
    return slot >= 0;
}

/* Kept whole: what losses read, statistics, and what the frozen prefix hands on, so that it has the
 * same bits where it comes out of a cache. */
static int place_saved(mtf_plan *plan, const unsigned char *in_prefix)
{
    int ok = 1;
    for (size_t i = 0; plan->training && i < plan->n_outputs; i++) {
        ok &= save(plan, plan->resolved[i], 0);
    }
    for (int32_t i = 0; i < plan->n_backward; i++) {
        const mtf_step *step = &plan->backward[i];
        const mtf_node *node = &plan->program->nodes[step->node];
        for (int k = 0; k < MTF_MAX_IN; k++) {
            ok &= !(step->save.in & (1u << k)) ||
                  save(plan, step->in[k], plan->save_bf16 && !in_prefix[step->in[k]]);
        }
        for (int o = 0; o < MTF_MAX_OUT; o++) {
            ok &= !(step->save.out & (1u << o)) || save(plan, node->out[o], plan->save_bf16);
        }
        for (int a = 0; a < MTF_MAX_AUX; a++) {
            ok &= !(step->save.aux & (1u << a)) ||
                  save(plan, node->aux[a], plan->save_bf16 && node->op->rounds_aux);
        }
    }
    for (size_t i = 0; !plan->training && i < plan->n_outputs; i++) {
        mtf_tensor_id t = plan->resolved[i];
        if (plan->place[t].store == MTF_STORE_NONE) {
            plan->place[t] = (mtf_place){MTF_STORE_CALLER, (int32_t)i};
        }
    }
    return ok;
}

/* Which values of a step may lie in bfloat16; none where it keeps more than its outputs. */
static mtf_halves halves_of(const mtf_plan *plan, const mtf_step *step)
{
    const mtf_node *node = &plan->program->nodes[step->node];
    for (int a = 0; a < MTF_MAX_AUX; a++) {
        if (node->aux[a] != MTF_NO_TENSOR && plan->place[node->aux[a]].store != MTF_STORE_NONE) {
            return (mtf_halves){0};
        }
    }
    return node->op->halves != NULL ? node->op->halves(&node->shape, step->precision)
                                    : (mtf_halves){0};
}

/* Takes from the narrow ones what a step cannot have so; 1: there was some. */
static int widen_for(const mtf_plan *plan, const mtf_step *step)
{
    const mtf_node *node = &plan->program->nodes[step->node];
    const mtf_halves halves = halves_of(plan, step);
    int found = 0;
    for (int k = 0; k < MTF_MAX_IN; k++) {
        if (step->in[k] != MTF_NO_TENSOR && !(halves.in >> k & 1u)) {
            found |= plan->narrow[step->in[k]];
            plan->narrow[step->in[k]] = 0;
        }
    }
    if (halves.alike && plan->narrow[step->in[0]] != plan->narrow[node->out[0]]) {
        found = 1;
        plan->narrow[step->in[0]] = 0;
        plan->narrow[node->out[0]] = 0;
    }
    return found;
}

/* What nobody keeps lies in bfloat16 where the step that makes it and all that read it can have it so.
 * Their values are the same either way. */
static void find_narrow(mtf_plan *plan)
{
    for (int32_t i = 0; i < plan->n_forward; i++) {
        const mtf_node *node = &plan->program->nodes[plan->forward[i].node];
        const mtf_halves halves = halves_of(plan, &plan->forward[i]);
        for (int o = 0; o < MTF_MAX_OUT; o++) {
            if ((halves.out >> o & 1u) && node->out[o] != MTF_NO_TENSOR) {
                plan->narrow[node->out[o]] = plan->place[node->out[o]].store == MTF_STORE_NONE;
            }
        }
    }
    int changed = 1;
    while (changed) {
        changed = 0;
        for (int32_t i = 0; i < plan->n_forward; i++) {
            changed |= widen_for(plan, &plan->forward[i]);
        }
    }
}

/* Elements of mtf_real that a row of a temporary takes. */
static int64_t temporary_width(const mtf_plan *plan, mtf_tensor_id t)
{
    const int64_t width = plan->program->tensors[t].width;
    return plan->narrow[t] ? (width + 1) / 2 : width;
}

/* Scratch for a tensor that a forward step makes, early: and that early steps alone read; 0: no room. */
static int take_scratch(mtf_plan *plan, pool *p, mtf_tensor_id t, int32_t early)
{
    const int32_t slot = take(p, plan->program->tensors[t].space, temporary_width(plan, t), early);
    if (plan->place[t].store == MTF_STORE_HALF) {
        plan->scratch[t] = slot;
    } else {
        plan->place[t] = (mtf_place){MTF_STORE_TEMPORARY, slot};
    }
    return slot >= 0;
}

/* Lets go of a tensor's scratch, if it has any. */
static void drop_scratch(const mtf_plan *plan, pool *p, mtf_tensor_id t)
{
    if (plan->place[t].store == MTF_STORE_TEMPORARY) {
        p->busy[plan->place[t].slot] = 0;
    } else if (plan->place[t].store == MTF_STORE_HALF) {
        p->busy[plan->scratch[t]] = 0;
    }
}

/* Places what forward steps hand on and nobody keeps whole. last (n_tensors): number of the last step
 * that reads a tensor; -1: none. */
static int place_temporary(mtf_plan *plan, pool *p, int32_t *last)
{
    for (int32_t i = 0; i < plan->n_forward; i++) {
        for (int k = 0; k < MTF_MAX_IN; k++) {
            if (plan->forward[i].in[k] != MTF_NO_TENSOR) {
                last[plan->forward[i].in[k]] = i;
            }
        }
    }
    for (int32_t i = 0; i < plan->n_forward; i++) {
        const mtf_step *step = &plan->forward[i];
        const mtf_node *node = &plan->program->nodes[step->node];
        for (int o = 0; o < MTF_MAX_OUT; o++) {
            mtf_tensor_id t = node->out[o];
            if (t == MTF_NO_TENSOR ||
                (plan->place[t].store != MTF_STORE_HALF &&
                 (plan->place[t].store != MTF_STORE_NONE || (o > 0 && last[t] < 0)))) {
                continue;
            }
            if (!take_scratch(plan, p, t, i < plan->n_early && last[t] < plan->n_early)) {
                return 0;
            }
        }
        for (int a = 0; a < MTF_MAX_AUX; a++) {
            const mtf_tensor_id t = node->aux[a];
            if (t != MTF_NO_TENSOR && plan->place[t].store == MTF_STORE_HALF &&
                !take_scratch(plan, p, t, 0)) {
                return 0;
            }
        }
        /* What ends here: inputs read for the last time, and what no forward step reads. */
        for (int k = 0; k < MTF_MAX_IN; k++) {
            if (step->in[k] != MTF_NO_TENSOR && last[step->in[k]] == i) {
                drop_scratch(plan, p, step->in[k]);
            }
        }
        for (int o = 0; o < MTF_MAX_OUT; o++) {
            if (node->out[o] != MTF_NO_TENSOR && last[node->out[o]] < 0) {
                drop_scratch(plan, p, node->out[o]);
            }
        }
        for (int a = 0; a < MTF_MAX_AUX; a++) {
            if (node->aux[a] != MTF_NO_TENSOR) {
                drop_scratch(plan, p, node->aux[a]);
            }
        }
    }
    return 1;
}

/* Gradients live from the first backward step that adds to them (outputs: from the start) to the
 * step of the node that made the tensor. */
static int place_gradients(mtf_plan *plan, pool *p, const unsigned char *gets)
{
    const mtf_program *program = plan->program;
    for (size_t i = 0; i < plan->n_outputs; i++) {
        mtf_tensor_id t = plan->resolved[i];
        if (gets[t] && plan->grad_slot[t] < 0) {
            plan->grad_slot[t] = take(p, program->tensors[t].space, program->tensors[t].width, 0);
            if (plan->grad_slot[t] < 0) {
                return 0;
            }
        }
    }
    for (int32_t i = 0; i < plan->n_backward; i++) {
        const mtf_step *step = &plan->backward[i];
        const mtf_node *node = &program->nodes[step->node];
        for (int k = 0; k < MTF_MAX_IN; k++) {
            mtf_tensor_id t = step->in[k];
            if ((step->need.dx & (1u << k)) && plan->grad_slot[t] < 0) {
                plan->grad_slot[t] =
                    take(p, program->tensors[t].space, program->tensors[t].width, 0);
                if (plan->grad_slot[t] < 0) {
                    return 0;
                }
            }
        }
        for (int o = 0; o < MTF_MAX_OUT; o++) {
            if (node->out[o] != MTF_NO_TENSOR && plan->grad_slot[node->out[o]] >= 0) {
                p->busy[plan->grad_slot[node->out[o]]] = 0;
            }
        }
    }
    return 1;
}

int mtf_places_assign(mtf_plan *plan, const unsigned char *gets, const unsigned char *in_prefix)
{
    const int32_t n = plan->program->n_tensors;
    int done = 0;
    pool p = {&plan->temporary, NULL, n};
    int32_t *last = mtf_alloc_array((size_t)n, sizeof *last);
    p.busy = mtf_alloc_zero((size_t)n);
    if (last == NULL || p.busy == NULL) {
        goto end;
    }
    for (int32_t t = 0; t < n; t++) {
        last[t] = -1;
        plan->grad_slot[t] = -1;
    }
    if (!place_saved(plan, in_prefix)) {
        goto end;
    }
    find_narrow(plan);
    if (!place_temporary(plan, &p, last)) {
        goto end;
    }
    p.arena = &plan->gradients;
    memset(p.busy, 0, (size_t)n);
    done = place_gradients(plan, &p, gets);
end:
    mtf_free(last);
    mtf_free(p.busy);
    return done;
}

size_t mtf_arena_layout(const mtf_arena *arena, const int64_t *rows, const int64_t *early_rows,
                        size_t *starts)
{
    size_t total = 0;
    for (int32_t r = 0; r < arena->n_regions; r++) {
        if (starts != NULL) {
            starts[r] = total;
        }
        const mtf_region *region = &arena->regions[r];
        const int64_t *sizes = region->early ? early_rows : rows;
        const size_t size = (size_t)sizes[region->space] * (size_t)region->width;
        total += (size + 15) / 16 * 16;
    }
    return total;
}
