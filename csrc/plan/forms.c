/* forms.c: the packed forms of weights that a plan reads, brought up to date before it runs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include "../base/alloc.h"
#include "../base/status.h"
#include "../base/threads.h"
#include "../ops/span.h"

#include <string.h>

/* Panels that one item fills. */
#define FILL_PANELS 4

/* Whether a weight is a factor of this node that goes over packed forms; its own sides into n, k. */
static int is_packed(const mtf_plan *plan, const mtf_node *node, int i, mtf_precision *precision)
{
    if (!(node->op->factors >> i & 1u) || node->weight[i] < 0) {
        return 0;
    }
    const mtf_param_def *def = &plan->program->params[node->weight[i]];
    const int64_t rows = def->shape[0];
    const int64_t cols = def->size / rows;
    if (def->layout == MTF_LAYOUT_TAPS) {
        *precision = mtf_taps_precision(rows, cols, *precision);
        return 1;
    }
    *precision = mtf_precision_of(rows, cols, *precision);
    return mtf_packs(rows, cols, *precision);
}

/* Sets first_use of a list's steps, backward ones where they hand a gradient down. seen (n_params). */
static void mark_steps(const mtf_plan *plan, mtf_step *steps, int32_t n, int backward,
                       unsigned char *seen)
{
    memset(seen, 0, (size_t)plan->program->n_params);
    for (int32_t s = 0; s < n; s++) {
        const mtf_node *node = &plan->program->nodes[steps[s].node];
        steps[s].first_use = 0;
        for (int i = 0; (!backward || steps[s].need.dx != 0) && i < MTF_MAX_WEIGHTS; i++) {
            if ((node->op->factors >> i & 1u) && node->weight[i] >= 0 && !seen[node->weight[i]]) {
                seen[node->weight[i]] = 1;
                steps[s].first_use |= 1u << i;
            }
        }
    }
}

int mtf_plan_mark_forms(mtf_plan *plan)
{
    unsigned char *seen = mtf_alloc((size_t)plan->program->n_params + 1);
    if (seen == NULL) {
        return 0;
    }
    mark_steps(plan, plan->forward, plan->n_forward, 0, seen);
    mark_steps(plan, plan->backward, plan->n_backward, 1, seen);
    mtf_free(seen);
    return 1;
}

void mtf_plan_forms(const mtf_plan *plan, void *context,
                    void (*visit)(void *context, int32_t param, mtf_use use,
                                  mtf_precision precision))
{
    for (int32_t s = 0; s < plan->n_forward; s++) {
        const mtf_node *node = &plan->program->nodes[plan->forward[s].node];
        for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
            mtf_precision precision = plan->forward[s].precision[i];
            if ((plan->forward[s].first_use >> i & 1u) && is_packed(plan, node, i, &precision)) {
                visit(context, node->weight[i], MTF_USE_Y, precision);
            }
        }
    }
    for (int32_t s = 0; s < plan->n_backward; s++) {
        const mtf_node *node = &plan->program->nodes[plan->backward[s].node];
        const mtf_need need = plan->backward[s].need;
        const uint32_t first = plan->backward[s].first_use;
        for (int i = 0; i < MTF_MAX_WEIGHTS; i++) {
            mtf_precision precision = (mtf_precision)plan->precision;
            if ((first >> i & 1u) && is_packed(plan, node, i, &precision) &&
                mtf_keeps_dx_form(need.dw >> i & 1u, precision)) {
                visit(context, node->weight[i], MTF_USE_DX, precision);
            }
        }
    }
}

typedef struct preparation {
    mtf_network *network;
    const mtf_values *values; /* forms of the weights that come and go with these; NULL: of all */
    size_t missing;           /* bytes of those that have no memory */
    mtf_form_block *block;
    mtf_weight *weight; /* the one that is being filled */
    mtf_use use;
    mtf_precision precision;
} preparation;

static void fill_item(void *context, int64_t item, int worker)
{
    const preparation *p = context;
    (void)worker;
    mtf_form_fill(p->weight, p->use, p->precision, item * FILL_PANELS,
                  mtf_piece_end(mtf_form_panels(p->weight, p->use), FILL_PANELS, item));
}

static void count_missing(void *context, int32_t param, mtf_use use, mtf_precision precision)
{
    preparation *p = context;
    const mtf_param *owner = &p->network->params[param];
    if (owner->handle.forms[use][precision].panels == NULL &&
        (p->values == NULL || p->values == owner->values)) {
        p->missing += mtf_form_bytes(&owner->handle, use, precision);
    }
}

static void place_missing(void *context, int32_t param, mtf_use use, mtf_precision precision)
{
    preparation *p = context;
    mtf_param *owner = &p->network->params[param];
    if (owner->handle.forms[use][precision].panels == NULL && p->values == owner->values) {
        mtf_form_place(&owner->handle, use, precision, p->block);
    }
}

/* Forms of weights that come and go together share a block, so that it goes with them. */
static mtf_status reserve_forms(const mtf_plan *plan, mtf_network *network,
                                const mtf_values *values, mtf_error *err)
{
    preparation p = {.network = network, .values = values};
    mtf_plan_forms(plan, &p, count_missing);
    if (p.missing > 0) {
        MTF_TRY(mtf_form_block_new(&p.block, p.missing, err));
        mtf_plan_forms(plan, &p, place_missing);
    }
    return MTF_OK;
}

static void fill(void *context, int32_t param, mtf_use use, mtf_precision precision)
{
    preparation *p = context;
    mtf_weight *w = &p->network->params[param].handle;
    if (mtf_weight_form(w, use, precision) != NULL || mtf_stopping()) {
        return;
    }
    p->weight = w;
    p->use = use;
    p->precision = precision;
    mtf_parallel_work(mtf_pieces(mtf_form_panels(w, use), FILL_PANELS), 2 * w->rows * w->cols,
                      fill_item, p);
    if (!mtf_stopping()) { /* else panels may be missing */
        w->forms[use][precision].filled = w->version + 1;
    }
}

mtf_status mtf_forms_prepare(const mtf_plan *plan, mtf_network *network, mtf_error *err)
{
    preparation p = {.network = network};
    mtf_plan_forms(plan, &p, count_missing);
    if (p.missing > 0) {
        MTF_TRY(reserve_forms(plan, network, network->values, err));
        for (int32_t h = 0; h < network->n_heads; h++) {
            MTF_TRY(reserve_forms(plan, network, network->heads[h].values, err));
        }
    }
    mtf_plan_forms(plan, &p, fill);
    return MTF_OK;
}
